"""Attention over a prefix tree: each token sees itself and what it follows, and nothing else.

The keys of a node are seen by its own tokens, causally, and by all that follows it, wholly; in the
tree's layout both are stretches without gaps.  So every node takes two calls of the fused CPU
kernel, without a mask and without a copy, and no product is computed that a sequence by itself
would not need.  What the nodes of a path contribute is put together by log-sum-exp, as between the
blocks of FlashAttention (arXiv:2205.14135); backward, the kernel is given the sums of the whole
path.  On a GPU FlexAttention does the same by blocks of tokens, windows and soft caps included.

Shapes: H query heads, K key heads, M tokens, D width of a head.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._dynamo import config as dynamo  # pyright: ignore[reportPrivateUsage]
from torch.nn.attention.flex_attention import BlockMask, flex_attention
from transformers import AttentionInterface

from moot.agents.errors import MootError

from .sight import Sight
from .tree import Node

KERNEL = "moot_tree"
"""The name under which transformers knows this attention."""
NARROWEST = 16
"""The least width of a head that FlexAttention's kernels are made for."""
VARIANTS = 64
"""Those of FlexAttention that one process may compile."""


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    sight: Sight,
    scale: float,
    window: int | None = None,
    cap: float | None = None,
) -> Tensor:
    """Return (1, H, M, D) what each token takes from those it sees.

    Args:
        query: (1, H, M, D).
        key: (1, K, M, D); each serves H / K query heads.
        value: (1, K, M, D).
        sight: who sees whom.
        scale: what the products are multiplied by.
        window: the sliding window, in tokens of a sequence; `None`: all are seen.
        cap: the soft cap of the products; `None`: there is none.
    """
    width, values = query.shape[-1], value.shape[-1]
    if query.device.type == "cuda" and min(width, values) >= NARROWEST:
        return _flex(query, key, value, sight.blocks(window), scale, cap)
    narrow = window is not None and window < sight.depth
    fused = query.device.type == "cpu" and width == values and bool(sight.nodes)
    if not fused or narrow or cap is not None:
        mask = sight.mask if window is None else sight.within(window)
        return _masked(query, key, value, mask, scale, cap)
    return _Nodes.apply(query, key, value, sight.nodes, scale)  # pyright: ignore[reportReturnType]


def _flex(
    query: Tensor, key: Tensor, value: Tensor, blocks: BlockMask, scale: float, cap: float | None
) -> Tensor:
    _allow_variants()
    found = _compiled()(
        query,
        key,
        value,
        score_mod=None if cap is None else _capped(cap, query.device),
        block_mask=blocks,
        scale=scale,
        enable_gqa=True,
    )
    assert isinstance(found, Tensor)
    return found


def _allow_variants() -> None:
    """Have FlexAttention compiled for every kind of mask, cap and head, with gradients or without.

    Torch would give up after eight, and hold all products from then on.  What is set in torch holds
    in one context alone, so every call sets it: each step of a run is taken in another, and a layer
    that is computed again is in a thread of autograd's.
    """
    limits: Any = dynamo
    if limits.recompile_limit < VARIANTS:
        limits.recompile_limit = VARIANTS


@cache
def _capped(cap: float, device: torch.device) -> Callable[..., Tensor]:
    most = torch.tensor(cap, device=device)  # a number would be compiled in, or refused

    def bent(score: Tensor, _batch: Tensor, _head: Tensor, _query: Tensor, _key: Tensor) -> Tensor:
        return most * torch.tanh(score / most)

    return bent


@cache
def _compiled() -> Any:
    """Return FlexAttention as a fused kernel; as it comes it holds all products at once."""
    return torch.compile(flex_attention, dynamic=True)


def _masked(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scale: float, cap: float | None
) -> Tensor:
    """Return the same by a mask, which has room for what the fused kernels can't do."""
    if cap is None:
        return F.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, scale=scale, enable_gqa=True
        )
    keys, values = _spread(query, key, value)
    products = cap * torch.tanh(query @ keys.transpose(-1, -2) * (scale / cap))
    wider = torch.promote_types(products.dtype, torch.float32)
    weights = products.masked_fill(~mask, -torch.inf).softmax(-1, dtype=wider)
    return weights.to(values.dtype) @ values


def _spread(query: Tensor, *shared: Tensor) -> list[Tensor]:
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
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, nodes: tuple[Node, ...], scale: float
    ) -> Tensor:
        keys, values = _spread(query, key, value)
        out = torch.zeros_like(query)
        wider = torch.promote_types(query.dtype, torch.float32)
        total = query.new_full(query.shape[:3], -torch.inf, dtype=wider)  # log-sum-exp so far
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
        ctx.save_for_backward(query, key, value, out, total)
        ctx.nodes, ctx.scale = nodes, scale
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, out, total = ctx.saved_tensors
        keys, values = _spread(query, key, value)
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
        return found[0], *narrow, None, None


def _interface(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **other: Any,
) -> tuple[Tensor, None]:
    """Attend as transformers' layers ask for it: (1, heads, M, D) in, (1, M, H, D) out."""
    if other.get("s_aux") is not None:
        raise MootError("attention sinks, which this model has, can't be trained yet")
    sight: Sight = other["sight"]
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    out = attend(query, key, value, sight, scale, sliding_window, softcap)
    return out.transpose(1, 2).contiguous(), None


AttentionInterface.register(KERNEL, _interface)  # pyright: ignore[reportArgumentType]
