"""A base model in memory whose forward pass fits a prefix tree; of others it is said why not."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from moot.agents.errors import MootError, in_one_line
from moot.agents.pretrained import load
from moot.agents.tokens import Tokens

from . import sharding, world
from .attention import KERNEL
from .examples import Said
from .forward import score
from .rows import moved, rows
from .settings import Fit

PROMPT, *ENDS = "One and two make", " three, as all know.", " a pair of shoes."
"""Two plain rows that begin alike.  Of odd ones a model in bfloat16 is sure of nothing: SmolLM2's
special tokens change by nats with the order of a sum, these words by a twentieth."""
APART, APART_HALF = 1e-3, 0.2
"""Nats of a token in the mean that two ways may be apart, in float32 and in half its width."""


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
    head = loaded.get_output_embeddings()
    if not isinstance(head, nn.Linear) or getattr(head, "bias", None) is not None:
        raise MootError(
            f"{model}: can't train this architecture: its head is no linear layer without a bias"
        )
    if fit.recompute:
        loaded.gradient_checkpointing_enable({"use_reentrant": False})
    for parameter in loaded.parameters():
        parameter.requires_grad_(fit.lora is None)
    check(loaded, model)
    if divided:
        sharding.shard(loaded, torch.device("cuda" if gpu else "cpu"))
    return loaded


def check(loaded: Any, model: Path) -> None:
    """Raise where we don't find of a tree's rows what the model says of each by itself."""
    rope: Any = getattr(loaded.config.get_text_config(), "rope_parameters", None) or {}
    if (kind := rope.get("rope_type")) in ("dynamic", "longrope"):
        raise MootError(f"{model}: can't train this architecture: its {kind} RoPE hangs on length")
    encode = Tokens(model)
    prompt, *ends = (tuple(encode.completion(text, ended=False)) for text in (PROMPT, *ENDS))
    two = [Said((), "", tokens=end, prompt_tokens=prompt) for end in ends]
    try:
        with torch.no_grad():
            both = _found(loaded, two)
            apart = torch.cat([_found(loaded, [one]) for one in two])
            own = torch.cat([_said(loaded, one) for one in two])
    except (KeyError, AttributeError, TypeError, RuntimeError) as error:  # not as others are built
        raise MootError(f"{model}: can't train this architecture: {in_one_line(error)}") from error
    most = APART if loaded.dtype == torch.float32 else APART_HALF
    for other, what in ((apart, "of each row by itself"), (own, "of it in transformers")):
        if not (far := float((both - other).abs().mean())) <= most:
            raise MootError(
                f"{model}: can't train this architecture: what we find of rows that begin alike "
                f"isn't what we find {what}: log-probabilities are {far:.2g} nats apart"
            )


def _found(loaded: Any, some: Sequence[Said]) -> Tensor:
    """Return the log-probabilities of the tokens of all rows, one after the other, in a tree."""
    batch = moved(rows(some), loaded.device)
    return score(loaded, batch).logp[batch.mask]


def _said(loaded: Any, one: Said) -> Tensor:
    """Return the log-probabilities of a row's tokens as transformers alone finds them."""
    tokens = torch.tensor([[*one.prompt_tokens, *one.tokens]], device=loaded.device)
    loaded.set_attn_implementation("eager")
    try:
        logits = loaded(input_ids=tokens, use_cache=False).logits[0]
    finally:
        loaded.set_attn_implementation(KERNEL)
    start = len(one.prompt_tokens)
    logp = logits[start - 1 : -1].float().log_softmax(-1)
    return logp.gather(-1, tokens[0, start:, None])[:, 0]
