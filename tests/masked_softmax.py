"""What attention over a prefix tree is held against: a softmax under its mask, written out."""

import torch
from torch import Tensor

from moot.training.model.sight import Sight
from moot.training.model.tree import tree

# Forks after 1, 1 2, 1 2 3 and 1 2 3 4: leaves lie up to five nodes deep.
DEEP = [[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 7], [1, 2, 3, 8, 9], [1, 2, 10], [1, 11, 12], [13, 14]]
SCALE = 0.4
Drawn = tuple[Tensor, Tensor, Tensor]


def sight(sequences: list[list[int]]) -> Sight:
    packed = tree(sequences)
    return Sight.of(packed.nodes, torch.from_numpy(packed.position))


def drawn(
    tokens: int, width: int = 8, values: int | None = None, seed: int = 0, *, grad: bool = True
) -> Drawn:
    """Return random queries of four heads, and keys and values of two, in float64."""
    draw = torch.Generator().manual_seed(seed)
    query, key, value = (
        torch.randn(1, heads, tokens, wide, generator=draw, dtype=torch.float64, requires_grad=grad)
        for heads, wide in ((4, width), (2, width), (2, values or width))
    )
    return query, key, value


def written_out(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor,
    cap: float | None = None,
    sinks: Tensor | None = None,
) -> Tensor:
    """Return the definition: query heads 0 and 1 meet key head 0, 2 and 3 meet key head 1."""
    keys, values = key[:, [0, 0, 1, 1]], value[:, [0, 0, 1, 1]]
    products = torch.einsum("bhqd,bhkd->bhqk", query, keys) * SCALE
    if cap is not None:
        products = cap * (products / cap).tanh()
    odds = products.exp() * mask
    total = odds.sum(-1, keepdim=True)
    if sinks is not None:
        total = total + sinks.exp()[:, None, None]
    return torch.einsum("bhqk,bhkd->bhqd", odds / total, values)
