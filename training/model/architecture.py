"""A base model in memory, and how rows go through it: as a prefix tree, or side by side."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch._dynamo.exc import TorchDynamoException  # pyright: ignore[reportPrivateUsage]
from transformers.modeling_layers import GradientCheckpointingLayer

from moot.agents.embedded.plain import Row, alone, apart, plain
from moot.agents.embedded.tokens import Tokens
from moot.agents.errors import EngineError, MootError, in_one_line
from moot.agents.types import Device, Dtype
from moot.agents.weights.pretrained import load

from .. import world
from ..data.examples import Said
from ..settings import Fit
from . import sharding
from .attention import KERNEL
from .forward import attention, run, score
from .rows import moved, rows
from .sight import Sight
from .types import Rows

SEEN_SO = {"full_attention", "sliding_attention"}
"""The kinds of layers that our attention computes; others would be amiss in long rows alone."""


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
    head = loaded.get_output_embeddings()
    if not isinstance(head, nn.Linear) or getattr(head, "bias", None) is not None:
        raise MootError(
            f"{model}: can't train this architecture: its head is no linear layer without a bias"
        )
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

    Nothing is dropped out: what speaks is what is trained.  Layers that are computed again want to
    be told that there is training; nothing else is, and rates of their own are set to nothing.
    """
    loaded.eval()
    if fit.recompute:
        loaded.gradient_checkpointing_enable({"use_reentrant": False})
        for layer in loaded.modules():
            if isinstance(layer, GradientCheckpointingLayer):
                layer.training = True
                rates = [n for n, own in vars(layer).items() if "drop" in n and type(own) is float]
                vars(layer).update(dict.fromkeys(rates, 0.0))
    for parameter in loaded.parameters():
        parameter.requires_grad_(fit.lora is None)
    return loaded


def attention_for(loaded: Any, model: Path) -> str:
    """Return the attention with which rows go through the model as they do one by one.

    Ours is that of a tree; with transformers' they go through it side by side.

    Raises:
        MootError: there is none.
    """
    two = plain(Tokens(model), loaded)
    why = None
    for name in (KERNEL, "sdpa", "eager"):
        why = _wrong(loaded, name, two)
        if why is None:
            return name
    raise MootError(f"{model}: can't train this architecture: {why}")


def _wrong(loaded: Any, name: str, two: Sequence[Row]) -> str | None:
    """Return what is wrong with what we find of two rows with the attention of that `name`.

    `None`: nothing.
    """
    text = loaded.config.get_text_config()
    unlike = {*(getattr(text, "layer_types", None) or ())} - SEEN_SO
    if name == KERNEL and unlike:
        return f"a tree's tokens can't see each other by {min(unlike)}"
    try:
        loaded.set_attn_implementation(name)
        if attention(loaded) != name:
            return "its attention can't be replaced"
        with torch.no_grad():
            layers = text.num_hidden_layers
            if name == KERNEL and (asked := _readers(loaded, two)) != layers:
                return f"{asked} of its {layers} layers ask for our attention"
            both = _found(loaded, two)
            apiece = torch.cat([_found(loaded, [row]) for row in two])
            own = _own(loaded, two)
    except torch.OutOfMemoryError:
        raise  # nothing is wrong with the architecture
    except (TorchDynamoException, torch.AcceleratorError) as error:  # nor here
        raise MootError(f"attention can't be computed here: {in_one_line(error)}") from error
    except (LookupError, AttributeError, TypeError, ValueError, RuntimeError) as error:
        return in_one_line(error)  # it isn't as others are built
    for other, what in ((apiece, "of each row by itself"), (own, "of it in transformers")):
        if far := apart(loaded, both, other):
            return (
                f"what we find of rows that begin alike isn't what we find {what}: "
                f"log-probabilities are {far:.2g} nats apart"
            )
    return None


def _batch(loaded: Any, some: Sequence[Row]) -> Rows:
    said = [Said((), "", tokens=end, prompt_tokens=begin) for begin, end in some]
    return moved(rows(said), loaded.device)


def _readers(loaded: Any, some: Sequence[Row]) -> int:
    """Return how many layers ask for our attention; others would see each other as they like."""
    batch = _batch(loaded, some)
    sight = Sight.of(batch.nodes, batch.position)
    run(loaded, batch.tokens, sight)
    return len(sight.readers)


def _found(loaded: Any, some: Sequence[Row]) -> Tensor:
    """Return the log-probabilities of what follows in all rows, one after the other."""
    batch = _batch(loaded, some)
    return score(loaded, batch).logp[batch.mask]


def _own(loaded: Any, some: Sequence[Row]) -> Tensor:
    """Return the same as transformers alone finds them."""
    before = attention(loaded)
    loaded.set_attn_implementation("eager")
    try:
        return torch.cat([alone(loaded, row) for row in some])
    finally:
        loaded.set_attn_implementation(before)
