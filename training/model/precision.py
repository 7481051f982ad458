"""How exactly a GPU multiplies numbers of float32."""

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from ..settings import Fit


def tensor_cores(fit: Fit, device: torch.device) -> AbstractContextManager[None]:
    """Return a context in which products are TF32 where all weights learn on a GPU.

    What is multiplied keeps ten bits after its first, three more than bfloat16's; what is added up,
    and what learns, stays float32.  Adapters, numbers that are asked for (`dtype`) and the CPU
    compute as ever.
    """
    learns_all = fit.lora is None and fit.dtype == "auto"
    return _products("high") if learns_all and device.type == "cuda" else nullcontext()


def exact() -> AbstractContextManager[None]:
    """Return a context in which float32 products are float32's."""
    return _products("highest")


@contextmanager
def _products(precision: str) -> Generator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
