"""A base model in memory whose forward pass fits a prefix tree; of others it is said why not."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from moot.agents.embedded.plain import Row, alone, apart, plain
from moot.agents.embedded.tokens import Tokens
from moot.agents.errors import MootError, in_one_line
from moot.agents.weights.pretrained import load

from .. import world
from ..data.examples import Said
from ..settings import Fit
from . import sharding
from .attention import KERNEL
from .forward import score
from .rows import moved, rows


def base(model: Path, fit: Fit) -> Any:
    """Return the model in the folder `model` in memory, ready to be learnt on.

    One that is divided over several processes passes through each's CPU memory, and no device has
    to hold more of it than its share.  The process that leads checks it for all.

    Raises:
        MootError: of a kind whose forward pass doesn't fit a prefix tree.
    """
    divided = fit.shard and world.size() > 1
    gpu = fit.device != "cpu" and torch.cuda.is_available()
    computes = fit.precision_on(gpu=gpu)
    loaded = load(model, computes, "cpu" if divided else fit.device, attention=KERNEL)
    head = loaded.get_output_embeddings()
    if not isinstance(head, nn.Linear) or getattr(head, "bias", None) is not None:
        raise MootError(
            f"{model}: can't train this architecture: its head is no linear layer without a bias"
        )
    if fit.recompute:
        loaded.gradient_checkpointing_enable({"use_reentrant": False})
    for parameter in loaded.parameters():
        parameter.requires_grad_(fit.lora is None)
    world.led(partial(check, loaded, model))
    if divided:
        if fit.lora is None:
            loaded.float()  # FSDP2 rounds them itself; they begin as what speaks, rounded
        sharding.shard(loaded, torch.device("cuda" if gpu else "cpu"), getattr(torch, computes))
    return loaded


def check(loaded: Any, model: Path) -> None:
    """Raise where we don't find of a tree's rows what the model says of each by itself."""
    rope: Any = getattr(loaded.config.get_text_config(), "rope_parameters", None) or {}
    if (kind := rope.get("rope_type")) in ("dynamic", "longrope"):
        raise MootError(f"{model}: can't train this architecture: its {kind} RoPE hangs on length")
    two = plain(Tokens(model), loaded)
    try:
        with torch.no_grad():
            both = _found(loaded, two)
            apiece = torch.cat([_found(loaded, [row]) for row in two])
            own = _own(loaded, two)
    except torch.OutOfMemoryError:
        raise  # nothing is wrong with the architecture
    except (LookupError, AttributeError, TypeError, ValueError, RuntimeError) as error:
        # It isn't as others are built.
        raise MootError(f"{model}: can't train this architecture: {in_one_line(error)}") from error
    for other, what in ((apiece, "of each row by itself"), (own, "of it in transformers")):
        if far := apart(loaded, both, other):
            raise MootError(
                f"{model}: can't train this architecture: what we find of rows that begin alike "
                f"isn't what we find {what}: log-probabilities are {far:.2g} nats apart"
            )


def _found(loaded: Any, some: Sequence[Row]) -> Tensor:
    """Return the log-probabilities of what follows in all rows, one after the other, in a tree."""
    said = [Said((), "", tokens=end, prompt_tokens=begin) for begin, end in some]
    batch = moved(rows(said), loaded.device)
    return score(loaded, batch).logp[batch.mask]


def _own(loaded: Any, some: Sequence[Row]) -> Tensor:
    """Return the same as transformers alone finds them."""
    loaded.set_attn_implementation("eager")
    try:
        return torch.cat([alone(loaded, row) for row in some])
    finally:
        loaded.set_attn_implementation(KERNEL)
