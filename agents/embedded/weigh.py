"""Weighing: how likely a model makes given replies, without generating any.

Shapes: N replies, L tokens, V vocabulary entries.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..errors import EngineError
from .context import Context, begin, padded
from .generate import BROKEN

MOST = 2**27
"""So many logits are held at once: half a GiB in float32."""


def weigh(
    model: Any, prompts: Sequence[tuple[int, ...]], replies: Sequence[Sequence[tuple[int, ...]]]
) -> list[list[list[float]]]:
    """Return the natural-log probability of each token of each reply to each prompt.

    A prompt that stands there several times is read once, and so is what all prompts begin with.

    Args:
        model: a causal language model of transformers.
        prompts: token ids, ready for a reply.
        replies: for each prompt the replies to weigh, each at least one token.
    """
    unlike = {prompt: i for i, prompt in enumerate(dict.fromkeys(prompts))}
    owners = [unlike[prompt] for prompt, some in zip(prompts, replies, strict=True) for _ in some]
    flat = [reply for some in replies for reply in some]
    with torch.inference_mode():
        context, logits = begin(model, list(unlike))
        heads = [reply[0] for reply in flat]
        first = logits.float().log_softmax(-1)[owners, heads].tolist()
        told = [[p] for p in first]
        going = [i for i, reply in enumerate(flat) if len(reply) > 1]
        if going:
            context.select([owners[i] for i in going])
            found = _rest(context, [flat[i] for i in going], logits.shape[-1], model.device)
            for i, tail in zip(going, found, strict=True):
                told[i] += tail
    if not all(math.isfinite(p) for row in told for p in row):
        raise EngineError(BROKEN)
    rows = iter(told)
    return [[next(rows) for _ in some] for some in replies]


def _rest(
    context: Context, replies: Sequence[tuple[int, ...]], vocabulary: int, device: torch.device
) -> list[list[float]]:
    """Return the log-probabilities of all tokens but the first, a few columns at a time."""
    ids, mask = padded([reply[:-1] for reply in replies], device, behind=True)
    goals, _ = padded([reply[1:] for reply in replies], device, behind=True)
    step = max(1, MOST // (len(replies) * vocabulary))
    columns: list[list[list[float]]] = []
    for some in range(0, ids.shape[1], step):
        part = slice(some, some + step)
        logits = context.follow(ids[:, part], mask[:, part])
        columns.append(_told(logits, goals[:, part].tolist()))
    rows = [[p for part in row for p in part] for row in zip(*columns, strict=True)]
    return [row[: len(reply) - 1] for row, reply in zip(rows, replies, strict=True)]


def _told(logits: Tensor, goals: Sequence[Sequence[int]]) -> list[list[float]]:
    """Return the log-probabilities of (N, L) tokens under (N, L, V) logits."""
    index = torch.tensor(goals, device=logits.device)[..., None]
    return logits.float().log_softmax(-1).gather(-1, index).squeeze(-1).tolist()
