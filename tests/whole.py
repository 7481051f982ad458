"""All of a model's weights learn: the settings, the examples, and what is then thought of them."""

from collections.abc import Sequence
from pathlib import Path

import torch
from told import FIT, words
from torch import Tensor

from moot.agents.embedded.tokens import Tokens
from moot.training.data.examples import Example, Shown
from moot.training.model.learner import Learner
from moot.training.model.rows import columns, rows

WHOLE = FIT.model_copy(update={"lora": None, "lr": 1e-3})
SHOWN = [
    Shown(f"e{i}", 0, "a", ("w",), words(text), "reference") for i, text in enumerate(("ab", "cd"))
]


def logp(pupil: Learner, model: Path, examples: Sequence[Example] = SHOWN) -> Tensor:
    with torch.no_grad():
        return pupil.policy(rows(columns(examples), Tokens(model))).logp
