"""Generation: a batch of rows, each with its own sampling and its own draws.

transformers' `generate` has one seed for a whole batch; here a row's draws come from its own seed,
so what it says does not hang on the rows beside it (but for the rounding of batched sums).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

import torch
from torch import Tensor

from ..errors import EngineError
from ..types import Sampling
from .context import begin
from .sample import sample
from .tokens import Tokens

BROKEN = (
    "the model gave a number that isn't finite; dtype: float32 may help, "
    "or the weights it speaks with are broken"
)
CROWDED = 0.75
"""Rows that ended are dropped when fewer than this share of a batch still speaks."""


@dataclass(slots=True)
class Row:
    """One completion as it grows."""

    prompt: tuple[int, ...]
    sampling: Sampling
    limit: int
    """The most tokens there may be."""
    draws: Random
    unwanted: Callable[[], bool]
    """Whether nobody waits for it any more."""
    text: str = ""
    """What it says, once it ended."""
    tokens: list[int] = field(default_factory=list[int])
    logprobs: list[float] = field(default_factory=list[float])
    finish: Literal["stop", "length"] | None = None
    """Why it ended; `None`: it goes on."""


def generate(model: Any, tokens: Tokens, rows: Sequence[Row]) -> None:
    """Speak on in every row until it ends; a prompt that rows share is read once."""
    prompts = {prompt: i for i, prompt in enumerate(dict.fromkeys(row.prompt for row in rows))}
    with torch.inference_mode():
        context, logits = begin(model, list(prompts))
        owners = [prompts[row.prompt] for row in rows]
        context.select(owners)
        logits = logits[owners]
        while True:
            for row, token, logp in zip(rows, *_next(rows, logits), strict=True):
                if row.finish is None:
                    _take(row, token, logp, tokens)
            going = [i for i, row in enumerate(rows) if row.finish is None]
            if not going:
                return
            if len(going) < CROWDED * len(rows):
                rows = [rows[i] for i in going]
                context.select(going)
            last = torch.tensor([row.tokens[-1:] for row in rows], device=model.device)
            logits = context.read(last, torch.ones_like(last))


def _next(rows: Sequence[Row], logits: Tensor) -> tuple[list[int], list[float]]:
    """Return the next token of each row, and its log-probability under the model itself."""
    logits = logits.float()
    drawn = sample(
        logits,
        logits.new_tensor([row.sampling.temperature for row in rows]),
        logits.new_tensor([row.sampling.top_p for row in rows], dtype=torch.float64),
        logits.new_tensor([row.sampling.top_k for row in rows], dtype=torch.long),
        logits.new_tensor([row.draws.random() for row in rows], dtype=torch.float64),
    )
    logp = logits.log_softmax(-1).gather(-1, drawn[:, None]).squeeze(-1)
    return drawn.tolist(), logp.tolist()


def _take(row: Row, token: int, logp: float, tokens: Tokens) -> None:
    """Add a token to a row, and end the row where it is over."""
    if not math.isfinite(logp):
        raise EngineError(BROKEN)
    row.tokens.append(token)
    row.logprobs.append(logp)
    if token in tokens.ends:
        row.text, row.finish = tokens.text(row.tokens[:-1]), "stop"
    elif (said := _stopped(row, tokens)) is not None:
        row.text, row.finish = said, "stop"
    elif len(row.tokens) >= row.limit or row.unwanted():
        row.text, row.finish = tokens.text(row.tokens), "length"


def _stopped(row: Row, tokens: Tokens) -> str | None:
    """Return the text before the first stop text, if there is one in it."""
    stops = row.sampling.stop
    if not stops:
        return None
    # A stop text has at most a token a byte, so it lies in this tail if it ended just now.
    tail = tokens.text(row.tokens[-max(len(stop.encode()) for stop in stops) - 4 :])
    if not any(stop in tail for stop in stops):
        return None
    text = tokens.text(row.tokens)
    found = [place for stop in stops if (place := text.find(stop)) >= 0]
    return text[: min(found)] if found else None
