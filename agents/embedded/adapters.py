"""Adapters: the weights that one model in memory can speak with."""

import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Any, cast

import torch
from peft import (
    LoraConfig,
    PeftConfig,
    PeftModel,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)
from peft.tuners.lora.layer import ParamWrapper
from safetensors.torch import load_file
from torch import Tensor, nn

from ..errors import EngineError, in_one_line
from ..types import Dtype, Weights
from ..weights.names import ADAPTER
from ..weights.pretrained import load

PLAIN = (".lora_A.weight", ".lora_B.weight")
"""How the names of all tensors of a plain LoRA on linear layers end."""


@contextmanager
def quietly() -> Generator[None]:
    """While this lasts, PEFT doesn't warn of its own notes on the rank of fused experts."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The following (rank|alpha)_pattern keys")
        yield


class Adapters:
    """A base model, and by name the adapters it was given, each at one version.

    Where the model is float32, an adapter's product is added to the weights while it speaks, which
    is more than twice as fast on a CPU, and the very weights of the base come back after.  In 16
    bits or 4 a sum would round away what was learnt, so there the adapter is computed beside it.
    Weights of which all were learnt are a model of their own, beside the base.
    """

    def __init__(self, base: Any) -> None:
        """Hold `base` alone."""
        self.versions: dict[str, int] = {}
        """The version held of each name."""
        self._base = base
        self._peft: PeftModel | None = None
        self._slots: dict[str, str] = {}  # PEFT's names: ours may hold dots, and a version is new
        self._numbers = count()
        self._added: str | None = None
        self._originals: dict[nn.Module, nn.Parameter] = {}
        self._whole: dict[str, Any] = {}

    def speaking(self, name: str | None) -> Any:
        """Return the model, ready to speak with the weights `name` or, for `None`, as the base."""
        if name in self._whole:
            return self._whole[name]
        if self._peft is None:
            return self._base
        slot = None if name is None else self._slots[name]
        if self._base.dtype == torch.float32 and not getattr(self._base, "is_quantized", False):
            self._add(slot)
        tuner: Any = self._peft.base_model
        if slot is None or slot == self._added:
            tuner.disable_adapter_layers()
        else:
            tuner.enable_adapter_layers()
            self._peft.set_adapter(slot)
        return self._base

    def load(self, weights: Weights) -> None:
        """Take up `weights` in place of their earlier version, which stays if they are no good."""
        self._add(None)
        slot = f"slot{next(self._numbers)}"
        try:
            if weights.whole:
                dtype = str(self._base.dtype).removeprefix("torch.")
                found = load(weights.path, cast(Dtype, dtype), self._base.device.type)
                self._whole[weights.name] = found.eval()
                self.versions[weights.name] = weights.version
                return
            self._take_up(weights, slot)
        except Exception as error:  # safetensors, peft and torch raise a dozen kinds
            self._drop(slot)
            raise EngineError(
                f"{weights.path}: can't take up version {weights.version} of "
                f"'{weights.name}': {in_one_line(error)}"
            ) from error
        earlier = self._slots.get(weights.name)
        self._slots[weights.name] = slot
        self.versions[weights.name] = weights.version
        if earlier is not None:
            self._drop(earlier)

    def _take_up(self, weights: Weights, slot: str) -> None:
        """Load the adapter into `slot`, and see that it is there."""
        if not (weights.path / "adapter_config.json").is_file():
            raise EngineError("there is no adapter_config.json")  # PEFT would ask a hub for it
        config = PeftConfig.from_pretrained(str(weights.path))
        tensors = load_file(weights.path / ADAPTER)
        odd = sorted(name for name in tensors if not name.endswith(PLAIN))
        if not isinstance(config, LoraConfig) or odd:
            found = odd[0] if odd else config.peft_type
            raise EngineError(f"expected a plain LoRA on linear layers, found {found}")
        config.inference_mode = True
        # The layers are made without memory and then given it: nothing is drawn at random.
        with quietly():
            if self._peft is None:
                self._peft = PeftModel(self._base, config, slot, low_cpu_mem_usage=True)
                self._peft.eval()
            else:
                self._peft.add_adapter(slot, config, low_cpu_mem_usage=True)
        set_peft_model_state_dict(
            self._peft, dict(tensors), adapter_name=slot, low_cpu_mem_usage=True
        )
        self._check(slot, tensors)

    def _check(self, slot: str, tensors: Mapping[str, Tensor]) -> None:
        """Raise where what the model now holds is not what was in the file: PEFT only warns."""
        held = get_peft_model_state_dict(self._peft, adapter_name=slot, save_embedding_layers=False)
        if unlike := sorted(held.keys() ^ tensors.keys()):
            raise EngineError(f"its tensors are not those of this model: {unlike[0]}")
        for name, tensor in tensors.items():
            if not torch.equal(held[name].cpu(), tensor.to(held[name].dtype)):
                raise EngineError(f"tensor {name} did not arrive in the model")

    def _add(self, slot: str | None) -> None:
        """Have the linear layers hold the base's weights with the product of `slot` added.

        An adapter of other layers too, such as a mixture's experts, is left beside the base.
        """
        if slot == self._added:
            return
        for linear, original in self._originals.items():
            linear.weight = original
        self._originals.clear()
        self._added = None
        layers = [m for m in self._base.modules() if slot in getattr(m, "lora_A", ())]
        if slot is None or any(isinstance(layer, ParamWrapper) for layer in layers):
            return
        for layer in layers:
            linear = layer.get_base_layer()
            self._originals[linear] = linear.weight
            with torch.no_grad():
                both = linear.weight + layer.get_delta_weight(slot)
            # A parameter of its own: the original may be tied to another layer's.
            linear.weight = nn.Parameter(both, requires_grad=False)
        self._added = slot

    def _drop(self, slot: str) -> None:
        """Forget what is in `slot`, if anything is."""
        if self._peft is None or slot not in self._peft.peft_config:
            return
        others = [name for name in self._peft.peft_config if name != slot]
        if others:
            self._peft.set_adapter(others[-1])
            self._peft.delete_adapter(slot)
        else:  # PEFT can't be without an adapter
            tuner: Any = self._peft.base_model
            tuner.unload()
            self._peft = None
