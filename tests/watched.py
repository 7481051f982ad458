"""Examples that guards watch, and a pupil that learns from them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from told import FIT, learnt, words
from torch import Tensor

from moot.training.data.examples import Shown
from moot.training.job import Step
from moot.training.methods.sft import SFT
from moot.training.model.learner import Learner
from moot.training.model.types import Encoder
from moot.training.policy_gradient.objective import Objective
from moot.training.settings import Fit, Guards
from moot.training.types import Look


def shown(name: str, i: int, text: str, tokens: tuple[int, ...]) -> Shown:
    return Shown(name, i, "a", ("w",), words(text, tokens), "reference")


#  Two episodes, a step each, which the seed orders so in both epochs: two short replies that
#  differ; two long ones alike.
EXAMPLES = [
    shown("b", 0, "x", (20,)),
    shown("b", 1, "y", (21,)),
    shown("a", 0, "z", (22, 23, 24)),
    shown("a", 1, "z", (22, 23, 24)),
]
WATCHED = Fit.model_validate(FIT.model_dump() | {"lr": 3e-2, "groups": 1, "epochs": 2})

#  In the first step the policy is the anchor still, and unsure.
BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "length": ({"length": 2}, r"length 3 is above fit\.guards\.length, 2"),
    "distinct": ({"distinct": 0.6}, r"distinct 0\.5 is below fit\.guards\.distinct, 0\.6"),
    "kl": ({"kl": 1e-9}, r"kl \S+ is above fit\.guards\.kl, 1e-09"),
}
#  Random weights are far from sure: the first step breaks these.
ABOVE = {
    "loss": ({"loss": 0.1}, r"loss \S+ is above fit\.guards\.loss, 0\.1"),
    "grad_norm": ({"grad_norm": 1e-6}, r"grad_norm \S+ is above fit\.guards\.grad_norm, 1e-06"),
}


DAPO = Objective.model_validate({"like": "dapo", "cut": "keep"})


def guarded(**guards: Any) -> Fit:
    return WATCHED.model_copy(update={"guards": Guards(**guards)})


def tensors(pupil: Learner) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in pupil.tensors().items()}


def equal(one: Any, other: Any) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


class Own(SFT):
    """Demonstrations that the policy has just said itself."""

    def looks(self, encode: Encoder) -> Look:
        """Say so."""
        return replace(super().looks(encode), sampled=True)


def steps(
    pupil: Learner, model: Path, folder: Path, settings: Fit, examples: Sequence[Shown] = EXAMPLES
) -> list[Step]:
    return learnt(pupil, Own(), examples, model, folder, settings)
