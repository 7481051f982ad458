"""A base model in memory, to be learnt on."""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_layers import GradientCheckpointingLayer

from moot.agents.errors import EngineError, MootError
from moot.agents.types import Device, Dtype
from moot.agents.weights.pretrained import load

from .. import world
from ..settings import Fit
from . import recurrent, sharding
from .attention import KERNEL
from .check import attention_for
from .forward import attention


def base(model: Path, fit: Fit) -> Any:
    """Return the model in the folder `model` in memory, ready to be learnt on.

    The process that leads checks it for all.  One that is divided over several processes it loads
    for all, too, into the machine's memory, and no device has to hold more of it than its share.

    Raises:
        MootError: of a kind that we can't compute as transformers does.
    """
    gpu = fit.device != "cpu" and torch.cuda.is_available()
    computes = fit.precision_on(gpu=gpu)
    if not fit.shard or world.size() == 1:
        loaded = _loaded(model, computes, fit.device, quantized=fit.quantized)
        loaded.set_attn_implementation(world.led(partial(attention_for, loaded, model)))
        return _to_be_learnt(loaded, fit)
    numbers: dict[str, Tensor] = {}  # where this process leads

    def emptied() -> Any:
        loaded = _loaded(model, computes, "cpu")
        loaded.set_attn_implementation(attention_for(loaded, model))
        if fit.lora is None:
            loaded.float()  # FSDP2 rounds them itself; they begin as what speaks, rounded
        bare, found = sharding.emptied(loaded)
        numbers.update(found)
        return bare

    divided = _to_be_learnt(world.led(emptied), fit)
    device = torch.device("cuda" if gpu else "cpu")
    sharding.shard(divided, numbers, device, getattr(torch, computes))
    return divided


def _loaded(model: Path, dtype: Dtype, device: Device, *, quantized: bool = False) -> Any:
    """Return the model on a device.

    Raises:
        MootError: its head isn't one that we compute.
    """
    loaded = _with_ours(model, dtype, device, quantized=quantized)
    if loaded is None:
        loaded = load(model, dtype, device, quantized=quantized)
    recurrent.follow(loaded)
    loaded.requires_grad_(False)  # until it is known what learns
    if not isinstance(loaded.get_output_embeddings(), nn.Linear):
        raise MootError(f"{model}: can't train this architecture: its head is no linear layer")
    how = getattr(loaded, "hf_quantizer", None)
    if how is not None and not how.is_trainable:
        kind = how.quantization_config.quant_method.value
        raise MootError(f"{model}: can't train a model that is filed in few bits ({kind})")
    return loaded


def _with_ours(model: Path, dtype: Dtype, device: Device, *, quantized: bool) -> Any:
    """Return the model if it takes another attention than its own, as ours is; `None`: it won't."""
    try:
        loaded = load(model, dtype, device, KERNEL, quantized=quantized)
    except EngineError as error:
        if KERNEL not in str(error):
            raise
        return None
    loaded.set_attn_implementation("eager")
    return loaded if attention(loaded) == "eager" else None


def _to_be_learnt(loaded: Any, fit: Fit) -> Any:
    """Return the model, of which what learns asks for gradients.

    Nothing is dropped out: what speaks is what is trained.
    """
    loaded.eval()
    if fit.recompute:
        loaded.gradient_checkpointing_enable({"use_reentrant": False})
        for layer in loaded.modules():
            if isinstance(layer, GradientCheckpointingLayer):
                _recomputed(layer)
    for parameter in loaded.parameters():
        parameter.requires_grad_(fit.lora is None)
    return loaded


def _recomputed(layer: nn.Module) -> None:
    """Have transformers compute `layer` again backward, which it does for training alone.

    What is in the layer is told of none, and neither is its own forward pass.
    """
    forward = layer.forward

    def undropped(*args: Any, **more: Any) -> Any:
        layer.training = False
        try:
            return forward(*args, **more)
        finally:
            layer.training = True

    layer.training, layer.forward = True, undropped
