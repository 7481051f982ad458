"""Plain rows: log-probabilities of a few words by transformers alone, to check our own passes by.

Prefix trees, and rows of a batch with padding in their midst, go through a model in passes of our
own.  Whether these are right for an architecture is checked when it is loaded, and not assumed.
"""

from typing import Any

import torch
from torch import Tensor

from .tokens import Tokens

PROMPT, *ENDS = "One and two make", " three, as all know.", " a pair of shoes."
"""Plain English, which bfloat16 bears: with the order of a sum the log-probabilities of SmolLM2's
special tokens change by nats, those of these words by a twentieth of one."""
MOST = 20
"""Tokens of a beginning and of an end at most."""
APART, APART_HALF = 1e-3, 0.2
"""Nats of a token in the mean that two ways may be apart, in float32 and in half its width."""

Row = tuple[tuple[int, ...], tuple[int, ...]]
"""The ids of a beginning, and those of what follows it."""


def plain(encode: Tokens, model: Any) -> list[Row]:
    """Return two rows of unlike words that begin alike, as long as `model` reads them."""
    most = getattr(model.config.get_text_config(), "max_position_embeddings", None) or 3 * MOST
    prompt, *ends = (encode.completion(text, ended=False) for text in (PROMPT, *ENDS))
    third = min(MOST, most // 3)
    return [(tuple(prompt[:third]), tuple(end[:third])) for end in ends]


def alone(model: Any, row: Row) -> Tensor:
    """Return (T,) the natural-log probabilities of what follows, by transformers alone."""
    begin, end = row
    tokens = torch.tensor([[*begin, *end]], device=model.device)
    with torch.no_grad():
        logits = model(input_ids=tokens, use_cache=False).logits[0]
    logp = logits[len(begin) - 1 : -1].float().log_softmax(-1)
    return logp.gather(-1, tokens[0, len(begin) :, None])[:, 0]


def apart(model: Any, found: Tensor, own: Tensor) -> float:
    """Return how far what was found is from the model's own, in nats a token; 0: near enough."""
    far = float((found - own).abs().mean())
    return 0.0 if far <= (APART if model.dtype == torch.float32 else APART_HALF) else far
