"""Adapters: the LoRA weights that one model in memory can speak with."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import torch
from peft import (
    LoraConfig,
    PeftConfig,
    PeftModel,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)
from safetensors.torch import load_file

from .errors import EngineError
from .types import Weights


class Adapters:
    """A base model, and by name the adapters it was given, each at one version."""

    def __init__(self, base: Any) -> None:
        """Hold `base` alone."""
        self.base = base
        self.versions: dict[str, int] = {}
        """The version held of each name."""
        self._slots: dict[str, str] = {}  # PEFT's names: ours may hold dots, and a version is new
        self._numbers = count()
        self._peft: PeftModel | None = None

    @contextmanager
    def speaking(self, name: str | None) -> Iterator[Any]:
        """Give the model, speaking with the adapter `name` or, for `None`, as the base."""
        if self._peft is None:
            yield self.base
        elif name is None:
            with self._peft.disable_adapter():
                yield self.base
        else:
            self._peft.set_adapter(self._slots[name])
            yield self.base

    def load(self, weights: Weights) -> None:
        """Take up `weights` in place of their earlier version, which stays if they are no good."""
        try:
            slot = self._taken_up(weights)
        except Exception as error:  # safetensors, peft and torch raise a dozen kinds
            why = str(error).strip().partition("\n")[0] or type(error).__name__
            raise EngineError(
                f"{weights.path}: can't take up version {weights.version} of "
                f"'{weights.name}': {why}"
            ) from error
        earlier = self._slots.get(weights.name)
        self._slots[weights.name] = slot
        self.versions[weights.name] = weights.version
        if earlier is not None:
            self._delete(earlier)

    def _taken_up(self, weights: Weights) -> str:
        """Return the slot that now holds the adapter, every tensor of it checked."""
        config = PeftConfig.from_pretrained(str(weights.path))
        if not isinstance(config, LoraConfig):
            raise EngineError(f"expected a LoRA adapter, found {config.peft_type}")
        config.inference_mode = True
        tensors = load_file(weights.path / "adapter_model.safetensors")
        slot = f"slot{next(self._numbers)}"
        try:
            # Tensors are made without memory and then given it: nothing is drawn at random.
            if self._peft is None:
                self._peft = PeftModel(self.base, config, slot, low_cpu_mem_usage=True)
                self._peft.eval()
            else:
                self._peft.add_adapter(slot, config, low_cpu_mem_usage=True)
            set_peft_model_state_dict(
                self._peft, dict(tensors), adapter_name=slot, low_cpu_mem_usage=True
            )
            self._check(slot, tensors)
        except Exception:
            if self._peft is not None and slot in self._peft.peft_config:
                self._delete(slot)
            raise
        return slot

    def _check(self, slot: str, tensors: dict[str, torch.Tensor]) -> None:
        """Raise where what the model now holds is not what was in the file: PEFT only warns."""
        held = get_peft_model_state_dict(self._peft, adapter_name=slot, save_embedding_layers=False)
        if unlike := sorted(held.keys() ^ tensors.keys()):
            raise EngineError(f"its tensors are not those of this model: {unlike[0]}")
        for name, tensor in tensors.items():
            if held[name].is_meta or not torch.equal(held[name].cpu(), tensor.to(held[name].dtype)):
                raise EngineError(f"tensor {name} did not arrive in the model")

    def _delete(self, slot: str) -> None:
        assert self._peft is not None
        others = [name for name in self._peft.peft_config if name != slot]
        if others:
            self._peft.set_adapter(others[-1])
        self._peft.delete_adapter(slot)
