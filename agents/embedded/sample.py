"""Sampling: one token a row, and none of it depends on which other rows there are.

Shapes: N rows, V vocabulary entries.
"""

import torch
from torch import Tensor


def sample(
    logits: Tensor, temperature: Tensor, top_p: Tensor, top_k: Tensor, uniform: Tensor
) -> Tensor:
    """Return (N,) token ids: where each row's `uniform` falls in its distribution.

    Args:
        logits: (N, V) float32.
        temperature: (N,) what logits are divided by; 0 takes the likeliest token, the first of
            equals.
        top_p: (N,) the likeliest tokens are kept until their probability reaches it; 1 keeps all.
        top_k: (N,) this many of the likeliest tokens are kept, before `top_p`; 0 keeps all.
        uniform: (N,) float64 in [0, 1), the row's own draw.
    """
    likeliest = logits.argmax(-1)
    greedy = temperature == 0
    if greedy.all():
        return likeliest
    # The largest is made 0 first, so that no temperature, however small, makes an infinity.
    heat = temperature.masked_fill(greedy, 1.0)[:, None]
    probability = ((logits - logits.amax(-1, keepdim=True)) / heat).softmax(-1)
    bounded = ((top_p < 1) | (top_k > 0)).nonzero().squeeze(-1)
    if len(bounded):  # sorting a vocabulary is dear: only for the rows that need it
        kept = truncate(probability[bounded], top_p[bounded], top_k[bounded])
        probability = probability.index_copy(0, bounded, kept)
    cumulated = probability.cumsum(-1, dtype=torch.float64)
    goal = (uniform * cumulated[:, -1])[:, None]
    drawn = torch.searchsorted(cumulated, goal, right=True).squeeze(-1)
    # Only NaNs lead past the end; the caller sees them in the log-probability.
    return torch.where(greedy, likeliest, drawn.clamp(max=logits.shape[-1] - 1))


def truncate(probability: Tensor, top_p: Tensor, top_k: Tensor) -> Tensor:
    """Return (N, V) probabilities with the unlikely ones zeroed; their sum is not made 1 again."""
    ordered, order = probability.sort(dim=-1, descending=True, stable=True)
    rank = torch.arange(probability.shape[-1], device=probability.device)
    ordered = ordered.masked_fill((rank >= top_k[:, None]) & (top_k[:, None] > 0), 0.0)
    before = ordered.cumsum(-1, dtype=torch.float64) - ordered
    enough = top_p[:, None] * ordered.sum(-1, keepdim=True, dtype=torch.float64)
    ordered = ordered.masked_fill((before >= enough) & (top_p[:, None] < 1), 0.0)
    return torch.zeros_like(probability).scatter(-1, order, ordered)
