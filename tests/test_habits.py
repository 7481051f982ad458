"""Habits of judges: found where they are planted, and none where they only seem to be."""

from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest

from moot.experiments.analysis.judges import judged
from moot.experiments.analysis.rulings import Reply, Ruling
from moot.experiments.report.panel import judges, warnings

Found = dict[str, tuple[float, float, float]]


def habits(rulings: list[Ruling]) -> Found:
    metrics = judged(rulings, 0, seed=0)
    return {
        m.name: (m.value, m.low, m.high)
        for m in metrics
        if m.low is not None and m.high is not None
    }


def marked(marks: dict[str, tuple[float, float]], own: Reply, other: Reply) -> list[Ruling]:
    """The same marks of two replies in each of eight episodes."""
    return [
        Ruling(f"e{e}", judge, "grade", None, reply, None, mark)
        for e in range(8)
        for judge, both in marks.items()
        for reply, mark in zip((own, other), both, strict=True)
    ]


def test_ones_own_replies_are_held_against_what_judges_find_who_wrote_neither() -> None:
    own, other = Reply(0, "a", None, 5), Reply(1, "b", None, 5)
    marks = {"a": (0.9, 0.5), "b": (0.4, 0.8), "c": (0.6, 0.2)}

    found = {m.name: m.value for m in judged(marked(marks, own, other), 0, seed=0)}

    # How much higher it marks the other's reply than others do is taken off: it may be lenient.
    of_a = (0.9 - (0.4 + 0.6) / 2) - (0.5 - 0.2)
    of_b = (0.8 - (0.5 + 0.2) / 2) - (0.4 - 0.6)
    assert found["judges/self_preference@a"] == pytest.approx(of_a)
    assert found["judges/self_preference@b"] == pytest.approx(of_b)
    assert "judges/self_preference@c" not in found


def court(skills: dict[str, float], marks: bool, seed: int) -> Iterator[Ruling]:
    """Judges who answer, too, and don't know whose reply they see: 40 episodes."""
    rng, names = Random(seed), list(skills)
    for e in range(40):
        replies = [Reply(i, name, rng.random() < 0.6, 5) for i, name in enumerate(names)]
        for judge, skill in skills.items():
            good = [reply.correct == (rng.random() < skill) for reply in replies]
            for i, one in enumerate(replies):
                if marks:
                    mark = 0.8 if good[i] else 0.3
                    yield Ruling(f"e{e}", judge, "grade", None, one, None, mark)
                for j, other in enumerate(replies):
                    if i != j and not marks:
                        p = (1 + good[i] - good[j]) / 2
                        yield Ruling(f"e{e}", judge, "preference", None, one, other, p)


@pytest.mark.parametrize("marks", [True, False])
def test_a_judge_isnt_vain_for_being_the_ablest(marks: bool) -> None:
    told = [habits([*court({"a": 0.95, "b": 0.6, "c": 0.6}, marks, seed)]) for seed in range(8)]

    values = [found["judges/self_preference@a"][0] for found in told]
    assert sum(values) / len(values) == pytest.approx(0, abs=0.06)


def test_nobody_is_vain_for_anothers_vanity() -> None:
    """Of a's reply and b's, b always likes its own; c is even, and so is a."""
    own, other = Reply(0, "a", None, 5), Reply(1, "b", None, 5)
    rulings = [
        Ruling(f"e{e}", judge, "preference", None, *ends, score)
        for e in range(8)
        for judge, likes in (("a", 0.5), ("b", 0.0), ("c", 0.5))
        for ends, score in (((own, other), likes), ((other, own), 1 - likes))
    ]

    found = {m.name: m.value for m in judged(rulings, 0, seed=0)}

    assert found["judges/self_preference@a"] == 0
    assert found["judges/self_preference@b"] == 0.5


def test_a_judge_of_rightness_has_no_taste_for_the_length_of_what_is_right() -> None:
    """Right replies are half as long here; nothing but their rightness is looked at."""
    right, wrong = Reply(0, "a", True, 50), Reply(1, "b", False, 100)
    alike = [Reply(2, "c", True, 40), Reply(3, "d", True, 80)]
    likes: list[Ruling] = []
    even: list[Ruling] = []
    for e in range(8):
        likes += [Ruling(f"e{e}", "j", "preference", None, right, wrong, 0.9)]
        likes += [Ruling(f"e{e}", "j", "preference", None, wrong, right, 0.1)]
        for one, other in (alike, alike[::-1]):
            even.append(Ruling(f"f{e}", "j", "preference", None, one, other, 0.5))

    assert habits([*likes, *even])["judges/length_bias@j"] == pytest.approx((0, 0, 0), abs=1e-9)
    unknown = [
        replace(one, of=replace(one.of, correct=None), over=replace(one.over, correct=None))
        for one in likes
        if one.over is not None
    ]
    assert {m.name: m.value for m in judged(unknown, 0, 0)}["judges/length_bias@j"] < -0.5
    assert "judges/length_bias@j" not in habits([one for one in unknown if one.episode != "e0"])


def tossed(n: int, first: float, seed: int) -> list[Ruling]:
    """A judge who tells no probabilities: in either order the first place wins by `first`."""
    rng, one, other = Random(seed), Reply(0, "a", None, 5), Reply(1, "b", None, 5)
    return [
        Ruling(f"e{e}", "j", "preference", None, *ends, float(rng.random() < first))
        for e in range(n)
        for ends in ((one, other), (other, one))
    ]


def leaning(rulings: list[Ruling]) -> bool:
    rows = [
        {"cycle": 0, "name": m.name, "value": m.value, "low": m.low, "high": m.high}
        for m in judged(rulings, 0, seed=0)
    ]
    return any("leans to the first place" in said for said in warnings(judges(rows)))


def test_a_taste_for_a_place_is_said_of_who_has_one() -> None:
    fair = sum(leaning(tossed(n, 0.5, seed)) for n in (4, 8, 16, 32) for seed in range(10))

    assert leaning(tossed(60, 0.75, seed=0))
    assert fair <= 5  # of 40: half of 5 % are expected, and seven were three standard errors away


def test_of_fewer_than_eight_episodes_no_habit_is_told() -> None:
    names = {m.name for m in judged(tossed(7, 0.9, seed=0), 0, seed=0)}

    assert names == {"judges/verdicts@j", "judges/unreadable@j", "judges/trust@j"}
