"""Contrast: how much must be right, and wrong, before anything is claimed of telling them apart."""

import pytest

from moot.experiments.analysis.judges import judged
from moot.experiments.analysis.rulings import Reply, Ruling
from moot.experiments.analysis.stats import contrast


@pytest.mark.parametrize(("wrong", "told"), [(7, False), (8, True)])
def test_a_judge_is_not_held_against_a_handful_of_wrong_replies(wrong: int, told: bool) -> None:
    """It finds all wrong ones better, which is below chance; but only of 8 episodes is it told."""
    rulings = [
        Ruling(f"e{e}", "j", "grade", None, Reply(turn, "a", right, 5), None, 0.1 if right else 0.9)
        for e in range(40)
        for turn, right in enumerate([True, True, e >= wrong])
    ]

    found = {metric.name: metric.value for metric in judged(rulings, 0, seed=0)}

    assert ("judges/auc@j" in found) == told
    assert found["judges/trust@j"] == (0 if told else 1)


@pytest.mark.parametrize(
    ("right", "wrong", "fewer"), [(8, 8, 8), (40, 7, 7), (7, 40, 7), (0, 0, 0)]
)
def test_the_rarer_kind_tells_and_many_in_one_unit_are_one(
    right: int, wrong: int, fewer: int
) -> None:
    units = [[(0.5, kind)] * 3 for kind, n in ((True, right), (False, wrong)) for _ in range(n)]

    assert contrast(units) == fewer
