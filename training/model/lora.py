"""LoRA: a fresh adapter in a base model, as PEFT has it (arXiv:2106.09685)."""

from pathlib import Path
from typing import Any, cast

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn

from moot.agents.embedded.adapters import quietly
from moot.agents.errors import MootError, in_one_line
from moot.agents.weights.pretrained import mamba

from ..settings import Lora
from .adapted import fuse


def _uncalled(model: nn.Module) -> list[str] | None:
    """Return the linear layers that an adapter can't be beside, or that nobody might hear there.

    Some routers do more than a product (Llama 4's).  Of Mamba's mixers kernels read all but the
    first themselves, where such kernels are installed.
    """
    found = [
        name
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and "Router" in type(layer).__name__
    ]
    found += [
        f"{name}.{own}"
        for name, mixer in model.named_modules()
        if mamba(mixer)
        for own, layer in mixer.named_children()
        if isinstance(layer, nn.Linear) and own != "in_proj"
    ]
    return sorted(found) or None  # PEFT warns of a list of nothing


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
    for some in ("target_modules", "exclude_modules"):
        if isinstance(names := getattr(own, some), set):  # in whose order its file would differ
            setattr(own, some, sorted(names))
    if not isinstance(base.get_output_embeddings(), nn.Linear):
        raise MootError(f"{model}: fit.lora.targets: the head itself can't have an adapter")
    return found
