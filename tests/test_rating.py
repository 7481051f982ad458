"""Bradley-Terry: what may not matter, and players who are far apart."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot.experiments.analysis.claims import Claim
from moot.experiments.analysis.judges import judged
from moot.experiments.analysis.ratings import rated
from moot.experiments.analysis.rulings import Reply, Ruling
from moot.experiments.analysis.stats import Interval
from moot.protocols.equivalent import SAME_AS
from moot.protocols.reliability.rating import bradley_terry, spreads, strengths

Game = tuple[int, int, float]

games = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 4), st.sampled_from([0.0, 0.3, 0.5, 1.0])),
    max_size=15,
)


def steepest(played: Sequence[Game], found: Mapping[int, float], ridge: float = 0.1) -> float:
    """Return the largest slope of the penalised log-likelihood, a game at a time."""
    slope = {player: -ridge * strength for player, strength in found.items()}
    for a, b, won in played:
        p = 1 / (1 + math.exp(found[b] - found[a]))
        slope[a] += won - p
        slope[b] -= won - p
    return max(map(abs, slope.values()))


@given(games)
def test_the_order_of_games_and_who_is_named_first_are_nothing(played: list[Game]) -> None:
    found = bradley_terry(played)
    turned = bradley_terry([(b, a, 1 - won) for a, b, won in reversed(played)])
    lost = bradley_terry([(a, b, 1 - won) for a, b, won in played])

    assert set(found) == {player for a, b, _ in played if a != b for player in (a, b)}
    assert dict(turned) == pytest.approx(dict(found), abs=1e-6)
    assert {p: -s for p, s in lost.items()} == pytest.approx(dict(found), abs=1e-6)
    assert sum(found.values()) == pytest.approx(0, abs=1e-9)
    assert not found or steepest([g for g in played if g[0] != g[1]], found) < 1e-6


def test_players_who_are_far_apart_are_at_the_top_of_the_likelihood_too() -> None:
    chain = [(i, i + 1, 1.0) for i in range(30) for _ in range(100)]
    upset = [(0, 1, 1.0)] * 5000 + [(1, 2, 1.0)] * 3 + [(2, 0, 1.0)]

    for played in (chain, upset):
        assert steepest(played, bradley_terry(played)) < 1e-6


def test_groups_that_never_met_lie_beside_each_other() -> None:
    found = bradley_terry([(0, 1, 1.0), (2, 3, 1.0)])

    assert found[0] == pytest.approx(found[2]) == pytest.approx(-found[1])
    assert found[0] > 0
    assert bradley_terry([(0, 1, 0.5)]) == {0: 0.0, 1: 0.0}
    assert bradley_terry([(0, 0, 1.0)]) == {}


@given(games, st.lists(st.integers(0, 3), min_size=15, max_size=15))
def test_games_drawn_anew_tell_by_their_sums_what_they_tell_one_by_one(
    played: list[Game], times: list[int]
) -> None:
    drawn = [game for game, n in zip(played, times, strict=False) for _ in range(n)]
    wins = np.zeros((5, 5))
    for (a, b, won), n in zip(played, times, strict=False):
        if a != b:
            wins[a, b] += n * won
            wins[b, a] += n * (1 - won)

    found = dict(enumerate(strengths(wins).tolist()))

    expected = bradley_terry(drawn)
    assert {p: s for p, s in found.items() if not math.isnan(s)} == pytest.approx(dict(expected))


def met(played: Sequence[tuple[str, str, float]]) -> list[Claim]:
    """Return the games as claims, each of an episode of its own."""
    return [
        Claim(f"e{i}", Reply(0, a, None, 5), Reply(1, b, None, 5), won)
        for i, (a, b, won) in enumerate(played)
    ]


def test_who_met_others_on_few_tasks_is_not_rated() -> None:
    between = [("a", "b", float(i % 2)) for i in range(20)]

    assert {*rated(met([*between, *[("c", "a", 1.0)] * 7]), seed=0)} == {"a", "b"}
    assert {*rated(met([*between, *[("c", "a", 1.0)] * 8]), seed=0)} == {"a", "b", "c"}
    assert rated([], seed=0) == {}


def test_a_task_that_comes_back_is_one_game() -> None:
    def told(cycles: int) -> dict[str, Interval]:
        return rated(
            [
                Claim(f"cycle-00{n}/{i}", Reply(0, "a", None, 5), Reply(1, "b", None, 5), 1.0)
                for n in range(cycles)
                for i in range(8)
            ],
            seed=0,
        )

    assert told(cycles=9) == {name: pytest.approx(of) for name, of in told(cycles=1).items()}


def test_marks_are_compared_and_sameness_is_no_game() -> None:
    def marked(criterion: str | None) -> list[Ruling]:
        return [
            Ruling(f"e{i}", "j", "grade", criterion, Reply(turn, name, None, 3), None, mark)
            for i in range(9)
            for turn, name, mark in ((0, "a", 0.9), (1, "b", 0.9 if i else 0.1), (2, "c", 0.2))
        ]

    found = {m.name: m.value for m in judged(marked(None), 0, seed=0)}
    a, b, c = (found[f"talk/rating@{name}"] for name in "abc")
    assert a > b > c
    assert not any("rating" in metric.name for metric in judged(marked(SAME_AS), 0, seed=0))


def test_who_always_won_may_have_been_lucky() -> None:
    """Of eight games all are won with 10 % by who is better by 1.1 nats alone."""
    found = rated(met([("a", "b", 1.0)] * 8), seed=0)

    assert found["a"].low < 0.55 < found["a"].value < found["a"].high
    assert found["b"] == pytest.approx((-found["a"].value, -found["a"].high, -found["a"].low))


def test_the_spread_of_two_players_is_what_the_binomial_has() -> None:
    wins = np.array([[0.0, 300.0, 0.0], [100.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    theta = strengths(wins, ridge=1e-9)

    spread = spreads(wins, theta, ridge=1e-9)

    # The log-odds' standard error; each strength is a half of them from the middle.
    assert spread[:2] == pytest.approx([math.sqrt(1 / 300 + 1 / 100) / 2] * 2, rel=1e-3)
    assert math.isnan(spread[2])
