"""The optimiser: what a step adds to what learns, by hand."""

from pathlib import Path
from typing import Any

import pytest
import torch
from told import FIT, learner
from torch import Tensor

from moot.training.checkpoint import Progress
from moot.training.optimiser import Optimiser


def moves(
    model: Path, folder: Path, gradient: float, steps: int, taken: int = 0, **settings: Any
) -> list[tuple[Tensor, Tensor]]:
    """What a weight matrix was before each step along a gradient that stays, and what it moved."""
    pupil = learner(model)
    one, *_ = parameters = list(pupil.parameters().values())
    fit = FIT.model_copy(update=settings)
    optimiser = Optimiser(pupil, fit, Progress(taken=taken), folder)
    found: list[tuple[Tensor, Tensor]] = []
    for _ in range(steps):
        for parameter in parameters:
            parameter.grad = torch.full_like(parameter, gradient)
        before = one.detach().clone()
        optimiser.step()
        found.append((before, one.detach() - before))
    return found


def test_the_rate_rises_over_the_first_steps_of_the_run_not_of_the_cycle(
    tiny: Path, tmp_path: Path
) -> None:
    #  AdamW moves by its rate against a gradient that stays: 2, 3 and 4 quarters of it, and 4.
    found = moves(tiny, tmp_path, 1.0, steps=4, taken=1, warmup_steps=3)

    rates = [-float(move.mean()) / FIT.lr for _, move in found]
    assert rates == pytest.approx([0.5, 0.75, 1.0, 1.0], rel=1e-3)
    assert all(float(move.std()) < 1e-3 * FIT.lr for _, move in found)


def test_weights_decay_by_the_rate_times_the_decay(tiny: Path, tmp_path: Path) -> None:
    [(before, move)] = moves(tiny, tmp_path, 0.0, steps=1, weight_decay=0.5)
    [(_, still)] = moves(tiny, tmp_path, 0.0, steps=1)

    assert before.any()
    torch.testing.assert_close(move, -0.5 * FIT.lr * before, atol=1e-7, rtol=1e-3)
    assert not still.any()
