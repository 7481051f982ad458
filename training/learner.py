"""A learner: a frozen base model with one LoRA adapter that learns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

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
from transformers import AutoModelForCausalLM, AutoTokenizer

from moot.agents.errors import MootError
from moot.agents.types import Prompt

from .forward import score
from .settings import Fit
from .types import Rows, Scores

ADAPTER = "adapter_model.safetensors"
"""PEFT's file name for an adapter's tensors."""

UNSUPPORTED = ("final_logit_softcapping", "logits_scaling", "logit_scale")
"""Config entries by which some architectures alter the logits that `forward.score` takes."""


class Learner:
    """Holds the base in memory once: `policy` speaks with the adapter, `anchor` without it."""

    def __init__(self, model: Path, fit: Fit, adapter: Path | None, seed: int) -> None:
        """Load the base model at `model`, with `adapter` or, without one, a fresh LoRA.

        A fresh adapter's output is exactly zero, so version 0 of any weights is the base itself.
        """
        self.device = torch.device(
            ("cuda" if torch.cuda.is_available() else "cpu") if fit.device == "auto" else fit.device
        )
        on_cpu = self.device.type == "cpu"
        dtype = {"auto": "float32" if on_cpu else "bfloat16"}.get(fit.dtype, fit.dtype)
        base: Any = AutoModelForCausalLM.from_pretrained(
            model, dtype=getattr(torch, dtype), use_safetensors=True, trust_remote_code=False
        )
        altered = [
            name for name in UNSUPPORTED if getattr(base.config, name, None) not in (None, 1)
        ]
        if altered:
            raise MootError(
                f"{model}: can't train this architecture yet: it has {', '.join(altered)}"
            )
        lora = LoraConfig(
            task_type="CAUSAL_LM",
            r=fit.lora.rank,
            lora_alpha=cast(int, fit.lora.alpha),
            lora_dropout=fit.lora.dropout,
            target_modules=(
                fit.lora.targets if isinstance(fit.lora.targets, str) else list(fit.lora.targets)
            ),
        )
        with torch.random.fork_rng():  # PEFT draws a fresh adapter from the global generator
            torch.manual_seed(seed)
            self.model: PeftModel = cast(PeftModel, get_peft_model(base.to(self.device), lora))
        if adapter is not None:
            self.set(load_file(adapter / ADAPTER))
        self.model.train(fit.lora.dropout > 0)

    def policy(self, rows: Rows) -> Scores:
        """Return what the model with its adapter thinks of the rows."""
        return score(self.model.get_base_model(), moved(rows, self.device))

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


class ChatEncoder:
    """Token ids by the model's own tokenizer and chat template."""

    def __init__(self, model: Path) -> None:
        self._tokenizer: Any = AutoTokenizer.from_pretrained(model, trust_remote_code=False)

    def prompt(self, prompt: Prompt) -> list[int]:
        """Return the ids of a prompt, ready for the assistant's reply."""
        chat = [{"role": m.role, "content": m.content} for m in prompt]
        text = self._tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        return self._tokenizer(text, add_special_tokens=False)["input_ids"]

    def completion(self, text: str, *, ended: bool) -> list[int]:
        """Return the ids of a reply, with the tokenizer's end token if it `ended`."""
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return [*ids, self._tokenizer.eos_token_id] if ended else ids


def moved(rows: Rows, device: torch.device) -> Rows:
    """Return the rows on `device`."""
    names = ("prompts", "prompt_mask", "owner", "tokens", "mask", "temperature")
    return Rows(**{name: getattr(rows, name).to(device) for name in names})
