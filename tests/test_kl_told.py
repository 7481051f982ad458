"""How far a step says that the policy is from where it began."""

from dataclasses import replace
from math import log
from pathlib import Path
from typing import Any

import pytest
import torch
from told import learner, learnt, rollout

from moot.agents.embedded.tokens import Tokens
from moot.training.data.examples import Known
from moot.training.methods.cat import CaT
from moot.training.model.rows import rows
from moot.training.policy_gradient.objective import Objective


def test_where_nobody_tells_how_likely_others_words_were_to_them_it_is_the_least(
    tiny: Path, tmp_path: Path
) -> None:
    def names(weights: str, heat: float) -> set[str]:
        told = [rollout(i, float(i), (5 + i,), weights=name) for i, name in enumerate(weights)]
        told = [replace(one, said=replace(one.said, temperature=heat)) for one in told]
        folder = tmp_path / f"{weights}-{heat}"
        [(_, step)] = learnt(learner(tiny), CaT(objective=Objective(kl=0.1)), told, tiny, folder)
        return {"kl", "kl_least"} & step.keys()

    assert names("vw", 0.7) == {"kl_least"}
    assert names("vw", 1.0) == names("ww", 0.7) == {"kl"}


UNIFORM = (-log(259),)


@pytest.mark.parametrize(
    "sampled",
    [
        {"logprobs": UNIFORM},
        {"known": Known(logp=UNIFORM)},
        #  Engines tell log-probabilities before temperature.
        {"known": Known(logp=UNIFORM), "logprobs": (-1.0,), "temperature": 0.5},
    ],
)
def test_a_steps_kl_is_the_policys_however_far_it_is_from_who_sampled_the_words(
    sampled: dict[str, Any], tiny: Path, tmp_path: Path
) -> None:
    pupil = learner(tiny)
    with torch.no_grad():
        for parameter in pupil.parameters().values():
            parameter.normal_(std=0.3, generator=torch.Generator().manual_seed(0))
    #  Every token there is, each as often: the mean over them is that over a uniform policy.
    every = [rollout(i, float(i % 2), (i,)) for i in range(259)]
    every = [replace(one, said=replace(one.said, **sampled)) for one in every]
    batch = rows([one.said for one in every], Tokens(tiny))
    with torch.no_grad():
        policy = pupil.policy(batch).logp
        with pupil.anchored():
            anchor = pupil.policy(batch).logp

    [(_, step)] = learnt(pupil, CaT(objective=Objective(kl=0.1)), every, tiny, tmp_path)

    assert policy.exp().sum().item() == pytest.approx(1, abs=1e-5)
    exact = (policy.exp() * (policy - anchor)).sum().item()
    assert step["kl"] == pytest.approx(exact, rel=1e-4)
    assert exact > 0.1
