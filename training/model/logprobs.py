"""The log-probabilities of chosen tokens, without ever holding the logits of all of them.

What any loss needs of K·V logits are a few numbers for each of K tokens.  The vocabulary passes by
in blocks: each block's logits are exponentiated, summed, and multiplied back into the block of the
head, as keys and values are in FlashAttention (arXiv:2205.14135).  That product is the mean row of
the head under the model's distribution, and with it the gradient of a log-probability by its hidden
state is known as soon as its value is: backward only scales it.  So nothing is computed twice where
the head is frozen; where it learns, its gradient is found from the blocks' logits once more.

Shapes: K chosen tokens, E width of the hidden states, V vocabulary.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

TOKENS = 1024
"""Chosen tokens that are worked on at once."""
BLOCK = {"cpu": 2048, "cuda": 8192}
"""Entries of the vocabulary that are worked on at once: so many that a block stays in the cache."""


class Head(NamedTuple):
    """What turns hidden states into logits: cap · tanh(scale · (hidden · weightᵀ + bias) / cap)."""

    weight: Tensor
    """(V, E)."""
    scale: float = 1.0
    """What some architectures multiply their logits by."""
    cap: float | None = None
    """What some architectures hold their logits within, softly."""
    bias: Tensor | None = None
    """(V,) what a few add to their logits."""


class Chosen(NamedTuple):
    """What is known of K chosen tokens, in float32."""

    logp: Tensor
    """(K,) natural-log probability of each."""
    entropy: Tensor
    """(K,) entropy, in nats, of the distribution it was chosen from."""
    certainty: Tensor
    """(K,) KL(uniform ‖ that distribution), in nats; carries no gradient."""


def chosen(
    head: Head, hidden: Tensor, tokens: Tensor, temperature: Tensor, *, bonus: bool = False
) -> Chosen:
    """Return what the head makes of (K, E) `hidden` for the (K,) `tokens` that came next.

    Args:
        head: the output embedding.
        hidden: (K, E) the last layer's states before each token.
        tokens: (K,) ids.
        temperature: (K,) what the logits are divided by.
        bonus: whether the entropy carries a gradient.
    """
    # Tokens are worked on in chunks, so that what is held for them is bounded too.
    chunks = zip(*(t.split(TOKENS) for t in (hidden, tokens, temperature)), strict=True)
    parts = [
        _Chosen.apply(some, head.weight, head.bias, head, *rest, bonus) for some, *rest in chunks
    ]
    return Chosen(*(torch.cat(column) for column in zip(*parts, strict=True)))


def _blocks(
    head: Head, hidden: Tensor, temperature: Tensor
) -> Iterator[tuple[slice, Tensor, Tensor | None]]:
    """Yield the (K, B) tempered logits of each block of the vocabulary, and how the cap bent them.

    That is their derivative by what they were before the cap; `None`: there is none, it is 1.
    """
    size = BLOCK["cuda" if hidden.is_cuda else "cpu"]
    for start in range(0, len(head.weight), size):
        at = slice(start, start + size)
        logits = (hidden @ head.weight[at].T).float()
        if head.bias is not None:
            logits += head.bias[at]
        logits *= head.scale
        bend = None
        if head.cap is not None:
            logits.div_(head.cap).tanh_()
            bend = 1 - logits.square()
            logits.mul_(head.cap)
        yield at, logits.div_(temperature[:, None]), bend


def _times(one: Tensor, *others: Tensor | None) -> Tensor:
    for other in others:
        one = one if other is None else one * other
    return one


class _Chosen(torch.autograd.Function):
    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        head: Head,
        tokens: Tensor,
        temperature: Tensor,
        bonus: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        # Sums of logits are of what they lack of the greatest so far: the terms that weigh most are
        # the smallest then, and little is lost where the weights have 8 bits.
        top = torch.full_like(temperature, torch.finfo(torch.float32).min)
        picked, mass, mean, plain = (torch.zeros_like(top) for _ in range(4))
        lean = torch.ones_like(top)  # `bend` of the chosen entry
        wanted = ctx.needs_input_grad[0] * (1 + bonus)
        rows = [torch.zeros_like(hidden, dtype=torch.float32) for _ in range(wanted)]
        for at, logits, bend in _blocks(head, hidden, temperature):
            place = tokens - at.start
            inside = (place >= 0) & (place < logits.shape[1])
            place = place.clamp(0, logits.shape[1] - 1)[:, None]
            picked = torch.where(inside, logits.gather(1, place)[:, 0], picked)
            if bend is not None:
                lean = torch.where(inside, bend.gather(1, place)[:, 0], lean)
            plain += logits.sum(-1)
            higher = torch.maximum(top, logits.amax(-1))
            fall, top = top - higher, higher
            fade, odds = fall.exp(), logits.sub_(top[:, None]).exp()
            mean.addcmul_(fall, mass).mul_(fade).add_(torch.linalg.vecdot(odds, logits))
            mass.mul_(fade).add_(odds.sum(-1))
            for row in rows[1:]:
                row.addcmul_(fall[:, None], rows[0])
            for row, factor in zip(rows, (None, logits), strict=False):
                share = _times(odds, factor, bend).to(weight.dtype) @ weight[at]
                row.mul_(fade[:, None]).add_(share)
        total = top + mass.log()
        mean /= mass
        slopes: list[Tensor] = []
        if wanted:
            factor = (head.scale / temperature)[:, None]
            rows = [row / mass[:, None] for row in rows]
            slopes += [factor * (lean[:, None] * weight[tokens] - rows[0])]
            slopes += [factor * (mean[:, None] * rows[0] - row) for row in rows[1:]]
        level = mean + top
        ctx.save_for_backward(hidden, weight, tokens, temperature, total, level, lean, *slopes)
        ctx.head, ctx.bonus = head, bonus
        certainty = total - plain / len(weight) - math.log(len(weight))
        entropy = mass.log() - mean
        ctx.mark_non_differentiable(certainty, *(() if bonus else (entropy,)))
        return picked - top - mass.log(), entropy, certainty

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor | None, ...]:
        hidden, weight, tokens, temperature, total, level, lean, *slopes = ctx.saved_tensors
        own = rows = sums = None
        if ctx.needs_input_grad[0]:
            own = grads[0][:, None] * slopes[0]
            if ctx.bonus:
                own += grads[1][:, None] * slopes[1]
            own = own.to(hidden.dtype)
        if any(ctx.needs_input_grad[1:3]):
            by_logp, by_entropy = grads[0], grads[1] if ctx.bonus else torch.zeros_like(total)
            factor = ctx.head.scale / temperature
            rows = torch.zeros_like(weight, dtype=torch.float32)
            sums = torch.zeros_like(rows[:, 0])
            by_chosen = by_logp * lean * factor
            rows.index_add_(0, tokens, by_chosen[:, None] * hidden.float())
            sums.index_add_(0, tokens, by_chosen)
            for at, logits, bend in _blocks(ctx.head, hidden, temperature):
                share = (logits - total[:, None]).exp_()
                by = by_logp[:, None] + by_entropy[:, None] * (logits - level[:, None])
                slope = _times(share, by, bend) * factor[:, None]
                rows[at] -= slope.to(hidden.dtype).T @ hidden
                sums[at] -= slope.sum(0)
            rows, sums = rows.to(weight.dtype), sums.to(weight.dtype)
        return own, rows, sums if ctx.needs_input_grad[2] else None, None, None, None, None
