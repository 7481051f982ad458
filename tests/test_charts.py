"""Charts: what is drawn stands where its numbers say."""

import pytest

from moot.experiments.report.charts import MOST_POINTS, Point, Series, chart, ticks


def test_ticks_are_round_and_enclose() -> None:
    assert ticks(0.03, 0.97, 5) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(-0.013, 0.004, 5) == [-0.015, -0.01, -0.005, 0, 0.005]
    assert ticks(0, 4, 6, whole=True) == [0, 1, 2, 3, 4]
    assert ticks(1, 24, 6, whole=True) == [0, 5, 10, 15, 20, 25]
    assert ticks(3, 3, 6, whole=True) == [3]


@pytest.mark.parametrize(
    ("low", "high"),
    [
        (5, 5),
        (0, 0),
        (-1e-9, 1e-9),
        (3e-17, 5e-17),
        (1e-13, 1e-13),
        (1e12, 1.1e12),
        (-7, -7),
        (1, 1 + 2e-16),
    ],
)
def test_ticks_enclose_whatever_there_is(low: float, high: float) -> None:
    found = ticks(low, high, 5)

    assert found[0] <= low <= high <= found[-1]
    assert 2 <= len(found) <= 8


def test_points_stand_where_their_numbers_say() -> None:
    points = (Point(0, 0.0, 0.0, 0.5), Point(4, 1.0, 0.5, 1.0))
    made = chart("Accuracy", [Series("a", points)], x_title="cycle", share=True)

    assert made is not None
    assert made.lines[0].dots == ((made.left, made.bottom), (made.right, made.top))
    middle = (made.top + made.bottom) / 2
    assert made.lines[0].band == (
        f"M{made.left}.0 {middle}L{made.right}.0 {made.top}.0"
        f"L{made.right}.0 {middle}L{made.left}.0 {made.bottom}.0Z"
    )
    assert [label for _, label in made.x_ticks] == ["cycle 0", "1", "2", "3", "4"]
    assert made.about == "Accuracy. a: from 0 at 0 to 1 at 4."


def test_what_exceeds_a_share_is_drawn_inside_all_the_same() -> None:
    rewards = (Point(0, -2.0), Point(1, 3.0))
    made = chart("Reward", [Series("mean", rewards)], x_title="cycle", share=True)

    assert made is not None
    assert all(made.top <= y <= made.bottom for _, y in made.lines[0].dots)


def test_what_is_not_finite_is_left_out_and_nothing_is_no_chart() -> None:
    nan = Series("a", (Point(0, float("nan")), Point(1, float("inf"))))

    assert chart("x", [nan], x_title="step") is None
    assert chart("x", [], x_title="step") is None
    made = chart("x", [nan, Series("b", (Point(0, 1.0),))], x_title="step")
    assert made is not None
    assert [line.name for line in made.lines] == ["b"]


def test_a_level_runs_all_across_with_its_interval_at_the_end() -> None:
    series = [
        Series("a", (Point(0, 0.2), Point(2, 0.4))),
        Series("vote", (Point(2, 0.5, 0.25, 0.75),), level=True),
    ]
    made = chart("x", series, x_title="cycle", share=True)

    assert made is not None
    middle = (made.top + made.bottom) / 2
    assert made.lines[1].path == f"M{made.left} {middle}H{made.right}"
    assert made.lines[1].band.startswith(f"M{made.right} ")


def test_very_many_points_are_averaged() -> None:
    series = Series("a", tuple(Point(i, i % 2) for i in range(10 * MOST_POINTS)))
    made = chart("x", [series], x_title="step")

    assert made is not None
    assert made.lines[0].averaged == 10
    assert made.lines[0].path.count("L") == MOST_POINTS - 1
    assert not made.lines[0].dots
