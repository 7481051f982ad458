"""A base model in memory whose forward pass fits a prefix tree; of others it is said why not."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from moot.agents.errors import MootError, in_one_line
from moot.agents.pretrained import load

from . import sharding, world
from .attention import KERNEL
from .examples import Said
from .forward import score
from .rows import moved, rows
from .settings import Fit


def base(model: Path, fit: Fit) -> Any:
    """Return the model in the folder `model` in memory, ready to be learnt on.

    One that is divided over several processes passes through each's CPU memory, and no device has
    to hold more of it than its share.

    Raises:
        MootError: of a kind whose forward pass doesn't fit a prefix tree.
    """
    divided = fit.shard and world.size() > 1
    gpu = fit.device != "cpu" and torch.cuda.is_available()
    loaded = load(model, fit.number_on(gpu=gpu), "cpu" if divided else fit.device, attention=KERNEL)
    if not isinstance(loaded.get_output_embeddings(), nn.Linear):
        raise MootError(f"{model}: can't train this architecture: its head is no linear layer")
    if fit.recompute:
        loaded.gradient_checkpointing_enable({"use_reentrant": False})
    for parameter in loaded.parameters():
        parameter.requires_grad_(fit.lora is None)
    check(loaded, model)
    if divided:
        sharding.shard(loaded, torch.device("cuda" if gpu else "cpu"))
    return loaded


def check(loaded: Any, model: Path) -> None:
    """Raise where the model doesn't see a tree's tokens as it sees each row's by itself."""
    rope: Any = getattr(loaded.config, "rope_parameters", None) or {}
    if (kind := rope.get("rope_type")) in ("dynamic", "longrope"):
        raise MootError(f"{model}: can't train this architecture: its {kind} RoPE hangs on length")
    two = [Said((), "", tokens=(3, fork, 4, 7), prompt_tokens=(1, 2)) for fork in (5, 6)]
    try:
        with torch.no_grad():
            both = score(loaded, moved(rows(two), loaded.device)).logp
            apart = [score(loaded, moved(rows([one]), loaded.device)).logp[0] for one in two]
    except (KeyError, AttributeError, TypeError, RuntimeError) as error:  # not as others are built
        raise MootError(f"{model}: can't train this architecture: {in_one_line(error)}") from error
    if not torch.allclose(both, torch.stack(apart), atol=1e-2, rtol=1e-2):
        raise MootError(
            f"{model}: can't train this architecture: rows that share their beginning "
            "disturb each other in it"
        )
