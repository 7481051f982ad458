"""Checkpoints inside a cycle: weights, optimiser and step, complete or absent; no pickles."""

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from moot.agents.errors import MootError, in_one_line

from . import world
from .model import sharding
from .model.learner import Learner
from .model.stored import reading

OPTIMIZER = Path("optimizer") / "optimizer.safetensors"
"""Apart from the weights: vLLM takes all that lies beside a model for a part of it."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a training came."""

    step: int = 0
    """Steps taken in this cycle."""
    taken: int = 0
    """Optimiser steps taken since the run began."""
    folder: Path | None = None
    """The checkpoint's; `None`: nothing was taken yet."""

    def moments(self) -> Iterator[tuple[str, Tensor]]:
        """Yield AdamW's state, a tensor at a time: `exp_avg.NAME`, `exp_avg_sq.NAME`, `step.NAME`.

        Raises:
            MootError: it is gone or damaged.
        """
        if self.folder is None:
            return
        file = self.folder / OPTIMIZER
        with reading(file), safe_open(file, framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118  (it is no mapping)
                yield name, opened.get_tensor(name)

    def restore(
        self, optimizer: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter]
    ) -> None:
        """Put the moments back into `optimizer`.

        Raises:
            MootError: they are gone or damaged.
        """
        for key, value in self.moments():
            kind, name = key.split(".", 1)
            parameter = parameters[name]
            value = value.to(parameter.device)  # `step` too: a fused step has all in one place
            if kind != "step":  # an earlier moot's moments may be of 16 bits
                value = sharding.own(value.to(parameter.dtype), parameter)
            optimizer.state[parameter][kind] = value.clone()


def save(
    folder: Path, learner: Learner, optimizer: torch.optim.Optimizer, *, step: int, taken: int
) -> None:
    """Write a checkpoint to `folder`, in place of the one before it.

    All processes of a training must ask; the one that leads writes.
    """
    final = folder / f"step-{step:06d}"
    beside = folder / f".{final.name}.part"
    names: dict[Tensor, str] = {p: name for name, p in learner.parameters().items()}
    moments = sharding.collected(
        {
            f"{kind}.{names[parameter]}": value.contiguous()
            for parameter, state in optimizer.state.items()
            for kind, value in state.items()
        }
    )
    world.together()  # the one before it may still be being read
    if world.leads():
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
    try:
        learner.save(beside)
        if world.leads():
            (beside / OPTIMIZER).parent.mkdir()
            save_file(moments, beside / OPTIMIZER, metadata={"progress": json.dumps([step, taken])})
    except SafetensorError as error:  # a full disk, for one
        raise MootError(f"{beside}: {in_one_line(error)}; mend it and run again") from None
    if world.leads():
        _publish(beside, final)
    world.together()  # the end of one process is the end of all: nobody goes before it is there


def _publish(beside: Path, final: Path) -> None:
    """Give what was written `beside` its name, in place of all checkpoints before it."""
    older = [path for path in final.parent.glob("step-*") if path != final]
    if final.exists():
        remove(final)
    beside.rename(final)
    for path in older:
        remove(path)


def remove(checkpoint: Path) -> None:
    """Remove a checkpoint: killed at any moment, it is there whole, or is none any more."""
    beside = checkpoint.with_name(f".{checkpoint.name}.gone")
    shutil.rmtree(beside, ignore_errors=True)
    checkpoint.rename(beside)
    shutil.rmtree(beside)


def latest(folder: Path) -> Progress | None:
    """Return the newest checkpoint in `folder`, if there is one."""
    found = sorted(folder.glob("step-*"))
    return read(found[-1]) if found else None


def read(checkpoint: Path) -> Progress:
    """Return how far a checkpoint, or a published version of weights, came.

    Raises:
        MootError: its optimiser's state is gone or damaged.
    """
    file = checkpoint / OPTIMIZER
    with reading(file), safe_open(file, framework="pt") as opened:
        step, taken = json.loads(opened.metadata()["progress"])
    return Progress(step, taken, checkpoint)
