"""Memory: what is given back, and what is told where a GPU's runs out in a training."""

import ctypes
import gc
from collections.abc import Generator
from contextlib import contextmanager, suppress

import torch

from moot.agents.errors import MootError, in_one_line

HINT = (
    "lower fit.batch_tokens, set fit.recompute, or leave room on it: a vLLM engine with "
    "`sleep: true`, or less gpu_memory_utilization. The same command goes on then"
)
"""What a run may change and go on."""


@contextmanager
def told_memory() -> Generator[None]:
    """While this lasts, memory that runs out is told in words that help.

    Raises:
        MootError: a GPU's memory ran out.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        why = in_one_line(error)
        raise MootError(f"training: the GPU's memory ran out: {HINT} ({why})") from error


def release() -> None:
    """Give the memory that nobody holds any more back to the GPU and to the system."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    with suppress(OSError, AttributeError):  # another C library than glibc keeps what it keeps
        ctypes.CDLL(None).malloc_trim(0)
