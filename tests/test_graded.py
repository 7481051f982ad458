"""Graded: which of a cycle's examples teach a learner, and what they are credited with."""

from pathlib import Path
from typing import Any

import pytest
from told import FIT, learner, rollout

from moot.agents.embedded.tokens import Tokens
from moot.training.data.examples import Rollout
from moot.training.fit import graded
from moot.training.methods.cat import CaT
from moot.training.methods.laser import LaSeR
from moot.training.policy_gradient.objective import Objective


def test_others_words_are_credited_in_the_group_and_learnt_by_who_hears_them(
    tiny: Path,
) -> None:
    method = CaT(objective=Objective(scale="none", kl=0))
    examples = [rollout(i, float(i == 0), (20 + i,), weights="wv"[i]) for i in range(2)]

    found = graded(
        learner(tiny), method, examples, Tokens(tiny), FIT, lambda e: e.speakers == ("v",)
    )

    assert [(one.advantage, one.weights) for one in found if isinstance(one, Rollout)] == [
        (-0.5, "v")
    ]


@pytest.mark.parametrize(
    ("method", "taken", "teaches"),
    [
        (CaT(objective=Objective(kl=0.1)), 0, False),  # at the anchor a KL's gradient is noise
        (CaT(objective=Objective(kl=0.1)), 1, True),  # and later what holds the policy near it
        (CaT(objective=Objective(kl=0.1, entropy=0.01)), 0, True),
        (CaT(objective=Objective(like="ppo")), 0, True),  # the head learns at any advantage
        (LaSeR(objective=Objective(kl=0.1), share=0), 0, True),  # and so do verdicts
    ],
)
def test_without_contrast_a_policy_at_its_anchor_learns_what_is_more_than_to_stay(
    method: CaT | LaSeR, taken: int, teaches: bool, roomy: Path
) -> None:
    pupil = learner(roomy, scalar=method.objective.critic is not None)

    alone = [rollout(0, 1.0, (20,))]
    [found] = graded(pupil, method, alone, Tokens(roomy), FIT, lambda _: True, taken)

    assert found.teaches == teaches


@pytest.mark.parametrize("objective", ["grpo", "dapo", "reinforce++"])
def test_what_has_no_reward_teaches_nothing(objective: Any, tiny: Path) -> None:
    method = CaT(objective=Objective(like=objective, cut="keep"))
    examples = [rollout(i, reward, (20 + i,)) for i, reward in enumerate((1.0, None, 0.0))]

    found = graded(learner(tiny), method, examples, Tokens(tiny), FIT, lambda _: True, taken=1)

    assert [one.teaches for one in found] == [True, False, True]
