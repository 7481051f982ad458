"""Which of a machine's GPUs a server, or a training, is given."""

import os
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, Field

from .errors import EngineError

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""The environment variable by which a process sees some GPUs alone."""


def _each_once(gpus: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(gpus)) < len(gpus):
        raise ValueError("expected each GPU once")
    return gpus


Gpus = Annotated[
    tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1), AfterValidator(_each_once)
]
"""GPUs by number, from 0: those that this process sees, in its order."""


def visible(gpus: Sequence[int]) -> dict[str, str]:
    """Return what has a process that is started see these GPUs alone.

    Where this process itself sees some alone, by number or by id, these are counted among them.

    Raises:
        EngineError: it sees too few.
    """
    told = os.environ.get(VISIBLE)
    seen = [*map(str, range(max(gpus) + 1))] if told is None else [*filter(None, told.split(","))]
    if max(gpus) >= len(seen):
        wanted = ", ".join(map(str, gpus))
        raise EngineError(
            f"GPUs {wanted} (from 0) are wanted, and {VISIBLE} has {len(seen)}: {told!r}"
        )
    return {VISIBLE: ",".join(seen[gpu] for gpu in gpus)}
