"""What becomes known of judges from rulings that are written out."""

from dataclasses import replace
from random import Random

import pytest

from moot.agents.population import Trust
from moot.experiments.analysis.judges import judged
from moot.experiments.analysis.rulings import Reply, Ruling

FIRST, SECOND = Reply(0, "a", True, 5), Reply(1, "b", False, 5)


def test_ones_own_replies_are_held_against_what_all_other_judges_find_of_them() -> None:
    own, other = Reply(0, "a", None, 5), Reply(1, "b", None, 5)
    marks = {"a": (0.9, 0.5), "b": (0.4, 0.8), "c": (0.6, 0.2)}
    rulings = [
        Ruling("e", judge, "grade", None, reply, None, mark)
        for judge, both in marks.items()
        for reply, mark in zip((own, other), both, strict=True)
    ]

    found = {metric.name: metric.value for metric in judged(rulings, 0, seed=0)}

    # How much higher it marks the other's reply than others do is taken off: it may be lenient.
    of_a = (0.9 - (0.4 + 0.6) / 2) - (0.5 - (0.8 + 0.2) / 2)
    of_b = (0.8 - (0.5 + 0.2) / 2) - (0.4 - (0.9 + 0.6) / 2)
    assert found["judges/self_preference@a"] == pytest.approx(of_a)
    assert found["judges/self_preference@b"] == pytest.approx(of_b)
    assert "judges/self_preference@c" not in found


def test_a_judge_of_rightness_has_no_taste_for_the_length_of_what_is_right() -> None:
    """Right replies are half as long here; nothing but their rightness is looked at."""
    right, wrong = Reply(0, "a", True, 50), Reply(1, "b", False, 100)
    likes = [Ruling("e0", "j", "preference", None, right, wrong, 0.9)]
    likes += [Ruling("e0", "j", "preference", None, wrong, right, 0.1)]
    alike = [Reply(2, "c", True, 40), Reply(3, "d", True, 80)]
    even = [Ruling("e1", "j", "preference", None, a, b, 0.5) for a, b in (alike, alike[::-1])]

    found = {metric.name: metric.value for metric in judged([*likes, *even], 0, seed=0)}
    assert found["judges/length_bias@j"] == pytest.approx(0)
    unknown = [
        replace(one, of=replace(one.of, correct=None), over=replace(one.over, correct=None))
        for one in likes
        if one.over is not None
    ]
    found = {metric.name: metric.value for metric in judged(unknown, 0, seed=0)}
    assert found["judges/length_bias@j"] < -0.5


def test_claims_of_one_episode_tell_no_more_for_being_many() -> None:
    """Agreement is drawn by episode: what is found twice of the same replies is found once."""
    rng = Random(3)
    once = [
        Ruling(f"e{e}", judge, "grade", None, reply, None, found)
        for e in range(24)
        for good in [rng.choice([0.1, 0.9])]
        for judge in ("j", "k")
        for mark in [good if rng.random() < 0.8 else 1 - good]
        for reply, found in ((FIRST, mark), (SECOND, 0.5))
    ]
    thrice = [
        replace(one, of=replace(one.of, turn=2 * i + one.of.turn)) for one in once for i in range(3)
    ]

    (one, low, high), (three, lower, higher) = (
        (m.value, m.low or 0, m.high or 0)
        for some in (once, thrice)
        for m in judged(some, 0, seed=0)
        if m.name == "judges/agreement"
    )

    assert one == pytest.approx(three, abs=0.02)
    assert higher - lower == pytest.approx(high - low, rel=0.1)


def marked(judge: str, level: float, gap: float, rng: Random) -> list[Ruling]:
    """A judge's marks of a right and a wrong reply to each of 40 questions, of unlike levels."""
    found: list[Ruling] = []
    for e in range(40):
        height = level + 0.3 * rng.random()
        for reply, mark in ((FIRST, height + gap), (SECOND, height)):
            found.append(Ruling(f"e{e}", judge, "grade", None, reply, None, mark))
    return found


def test_a_judge_is_known_by_how_it_ranks_and_not_by_how_high_it_marks() -> None:
    rng = Random(5)
    ranks = [("lenient", 0.6, 0.05), ("strict", 0.05, 0.05), ("blind", 0.3, 0.0)]
    rulings = [one for judge in ranks for one in marked(*judge, rng)]

    def told(some: list[Ruling], trust: Trust) -> dict[str, float]:
        found = {metric.name: metric.value for metric in judged(some, 0, 0, trust)}
        return {name: found[f"judges/trust@{name}"] for name, *_ in ranks}

    assert told(rulings, "labels") == {"lenient": 1, "strict": 1, "blind": 0}
    assert told(rulings, "equal") == {"lenient": 1, "strict": 1, "blind": 1}
    turned = [replace(r, of=replace(r.of, correct=not r.of.correct)) for r in rulings]
    assert told(turned, "labels") == {"lenient": 0, "strict": 0, "blind": 0}
    assert told(turned, "agreement") == told(rulings, "agreement")
