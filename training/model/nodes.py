"""Attention over a prefix tree on a CPU, node by node.

The keys of a node are seen by its own tokens, causally, and by all that follows it, wholly; in the
tree's layout both are stretches without gaps.  So every node takes two calls of the fused CPU
kernel, without a mask and without a copy, and no product is computed that a sequence by itself
would not need.  What the nodes of a path contribute is put together by log-sum-exp, as between the
blocks of FlashAttention (arXiv:2205.14135); backward, the kernel is given the sums of the whole
path.  A sink is one more of these contributions, and so comes first.

Shapes: H query heads, K key heads, M tokens, D width of a head.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from .tree import Node


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    sinks: Tensor | None,
    nodes: tuple[Node, ...],
    scale: float,
) -> Tensor:
    """Return (1, H, M, D) what each token takes from those it sees.

    Args:
        query: (1, H, M, D), on the CPU.
        key: (1, K, M, D); each serves H / K query heads.
        value: (1, K, M, D).
        sinks: (H,) the product of each head's sink; `None`: there are none.
        nodes: of the tree.
        scale: what the products are multiplied by.
    """
    found = _Nodes.apply(query, key, value, sinks, nodes, scale)
    assert isinstance(found, Tensor)
    return found


def spread(query: Tensor, *shared: Tensor) -> list[Tensor]:
    """Return (1, H, M, D) the heads that several query heads share, once for each of these."""
    return [t.repeat_interleave(query.shape[1] // t.shape[1], dim=1) for t in shared]


def _calls(nodes: tuple[Node, ...]) -> Iterator[tuple[slice, slice, bool]]:
    """Yield which queries meet which keys, and whether causally."""
    for node in nodes:
        own = slice(node.start, node.end)
        yield own, own, True
        if node.last > node.end:
            yield slice(node.end, node.last), own, False


class _Nodes(torch.autograd.Function):
    """The fused CPU kernel, node by node."""

    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        sinks: Tensor | None,
        nodes: tuple[Node, ...],
        scale: float,
    ) -> Tensor:
        keys, values = spread(query, key, value)
        out = torch.zeros_like(query)
        wider = torch.promote_types(query.dtype, torch.float32)
        total = query.new_full(query.shape[:3], -torch.inf, dtype=wider)  # log-sum-exp so far
        if sinks is not None:
            total[:] = sinks[:, None]
        for rows, columns, causal in _calls(nodes):
            part, weight = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
                query[:, :, rows],
                keys[:, :, columns],
                values[:, :, columns],
                is_causal=causal,
                scale=scale,
            )
            both = torch.logaddexp(total[:, :, rows], weight)
            kept, new = ((t - both).exp_()[..., None] for t in (total[:, :, rows], weight))
            out[:, :, rows].mul_(kept.to(out.dtype)).add_(part * new.to(out.dtype))
            total[:, :, rows] = both
        ctx.save_for_backward(query, key, value, sinks, out, total)
        ctx.nodes, ctx.scale = nodes, scale
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, sinks, out, total = ctx.saved_tensors
        keys, values = spread(query, key, value)
        found = [torch.zeros_like(t) for t in (query, keys, values)]
        for rows, columns, causal in _calls(ctx.nodes):
            parts = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
                grads[0][:, :, rows],
                query[:, :, rows],
                keys[:, :, columns],
                values[:, :, columns],
                out[:, :, rows],
                total[:, :, rows],
                0.0,
                causal,
                scale=ctx.scale,
            )
            for sum_, part, where in zip(found, parts, (rows, columns, columns), strict=True):
                sum_[:, :, where] += part
        narrow = [t.unflatten(1, (key.shape[1], -1)).sum(2) for t in found[1:]]
        return found[0], *narrow, _of_sinks(grads[0], sinks, out, total), None, None


def _of_sinks(grad: Tensor, sinks: Tensor | None, out: Tensor, total: Tensor) -> Tensor | None:
    """Return (H,) the sinks' gradient, by that of a softmax, where what they add is zero."""
    if sinks is None:
        return None
    part = (sinks[:, None] - total).exp()  # of the softmax
    return -(part * (grad * out).sum(-1)).sum((0, 2)).to(sinks.dtype)
