"""LoRA: a fresh adapter in a base model, as PEFT has it (arXiv:2106.09685)."""

from pathlib import Path
from typing import Any, cast

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn

from moot.agents.embedded.adapters import quietly
from moot.agents.errors import MootError, in_one_line

from ..settings import Lora
from .adapted import fuse


def _uncalled(model: nn.Module) -> list[str] | None:
    """Return the layers whose adapters nobody might hear: kernels read their weights themselves.

    They are those of Mamba's mixers but the first one, where such kernels are installed.
    """
    mixers = [(n, m) for n, m in model.named_modules() if hasattr(m, "A_log") and hasattr(m, "D")]
    found = [
        f"{name}.{own}"
        for name, mixer in mixers
        for own, layer in mixer.named_children()
        if isinstance(layer, nn.Linear) and own != "in_proj"
    ]
    return found or None  # PEFT warns of a list of nothing


def fresh(base: Any, lora: Lora, seed: int, model: Path) -> PeftModel:
    """Put a fresh adapter into `base`; what it adds is exactly zero.

    Args:
        base: a transformers causal language model; it is changed in place.
        lora: where the adapter goes, and how wide it is.
        seed: of its first half.
        model: what messages call the model.

    Raises:
        MootError: the model has no such layers.
    """
    targets = lora.targets if isinstance(lora.targets, str) else list(lora.targets)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.rank,
        lora_alpha=cast(int, lora.alpha),
        target_modules=targets,
        exclude_modules=_uncalled(base) if targets == "all-linear" else None,
    )
    # PEFT draws a fresh adapter from the global generator.
    with torch.random.fork_rng(), quietly():
        torch.manual_seed(seed)
        try:
            found = cast(PeftModel, get_peft_model(base, config))
        except ValueError as error:
            raise MootError(f"{model}: fit.lora.targets: {in_one_line(error)}") from None
    fuse(found)
    own: Any = found.peft_config["default"]
    if isinstance(own.target_modules, set):  # in whose order its file would differ by the process
        own.target_modules = sorted(own.target_modules)
    if not isinstance(base.get_output_embeddings(), nn.Linear):
        raise MootError(f"{model}: fit.lora.targets: the head itself can't have an adapter")
    return found
