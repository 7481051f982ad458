"""A learner: a frozen base model with one LoRA adapter that learns."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import cast

import torch
from peft import (
    LoraConfig,
    PeftModel,
    get_peft_model,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)
from safetensors.torch import load_file
from torch import Tensor, nn

from moot.agents.errors import MootError, in_one_line
from moot.agents.pretrained import load

from .forward import score
from .settings import Fit, unsupported
from .types import Rows, Scores

ADAPTER = "adapter_model.safetensors"
"""PEFT's file name for an adapter's tensors."""


class Learner:
    """Holds the base in memory once: `policy` speaks with the adapter, `anchor` without it."""

    def __init__(self, model: Path, fit: Fit, adapter: Path | None, seed: int) -> None:
        """Load the base model at `model`, with `adapter` or, without one, a fresh LoRA.

        A fresh adapter's output is exactly zero, so version 0 of any weights is the base itself.
        """
        base = load(model, fit.dtype, fit.device)
        self.device: torch.device = base.device
        if altered := unsupported(vars(base.config)):
            raise MootError(f"{model}: can't train this architecture yet: it has {altered}")
        lora = LoraConfig(
            task_type="CAUSAL_LM",
            r=fit.lora.rank,
            lora_alpha=cast(int, fit.lora.alpha),
            target_modules=(
                fit.lora.targets if isinstance(fit.lora.targets, str) else list(fit.lora.targets)
            ),
        )
        with torch.random.fork_rng():  # PEFT draws a fresh adapter from the global generator
            torch.manual_seed(seed)
            try:
                self.model: PeftModel = cast(PeftModel, get_peft_model(base, lora))
            except ValueError as error:
                raise MootError(f"{model}: fit.lora.targets: {in_one_line(error)}") from None
        if adapter is not None:
            self.set(load_file(adapter / ADAPTER))
        self.model.eval()  # no dropout: what speaks is what is trained

    def policy(self, rows: Rows) -> Scores:
        """Return what the model with its adapter thinks of the rows, which are on its device."""
        return score(self.model.get_base_model(), rows)

    def anchor(self, rows: Rows) -> Scores:
        """Return what the base model alone thinks of the rows, without gradient."""
        with torch.no_grad(), self.model.disable_adapter():
            return self.policy(rows)

    def parameters(self) -> dict[str, nn.Parameter]:
        """Return what learns, by name."""
        return {name: p for name, p in self.model.named_parameters() if p.requires_grad}

    def tensors(self) -> Mapping[str, Tensor]:
        """Return the adapter's tensors under the names that PEFT files them."""
        return get_peft_model_state_dict(self.model)

    def set(self, tensors: Mapping[str, Tensor]) -> None:
        """Replace the adapter's tensors."""
        set_peft_model_state_dict(self.model, dict(tensors))

    def save(self, folder: Path) -> None:
        """Write the adapter to `folder`, in PEFT's layout."""
        self.model.save_pretrained(str(folder), safe_serialization=True)
        (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty model card


def release() -> None:
    """Give the memory that nobody holds any more back to the GPU and to the system."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    with suppress(OSError, AttributeError):  # another C library than glibc keeps what it keeps
        ctypes.CDLL(None).malloc_trim(0)
