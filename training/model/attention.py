"""Attention over a prefix tree: each token sees itself and what it follows, and nothing else.

On a CPU the fused kernel is called for each node of the tree (`nodes`), or a mask does what it
can't; on a GPU FlexAttention does all of it by blocks of tokens.

Some models give each head a sink (gpt-oss): a learnt product that every token has beside those with
what it sees, and whose value is zero.  It takes its part of the softmax, and adds nothing.

Shapes: H query heads, K key heads, M tokens, D width of a head.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._dynamo import config as dynamo  # pyright: ignore[reportPrivateUsage]
from torch.nn.attention.flex_attention import AuxRequest, BlockMask, flex_attention
from transformers import AttentionInterface

from . import nodes
from .sight import Sight

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
    sinks: Tensor | None = None,
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
        sinks: (H,) the product of each head's sink; `None`: there are none.
    """
    width, values = query.shape[-1], value.shape[-1]
    if query.device.type == "cuda" and min(width, values) >= NARROWEST:
        return _flex(query, key, value, sight.blocks(window), scale, cap, sinks)
    narrow = window is not None and window < sight.depth
    fused = query.device.type == "cpu" and width == values and bool(sight.nodes)
    if not fused or narrow or cap is not None:
        mask = sight.mask if window is None else sight.within(window)
        return _masked(query, key, value, mask, scale, cap, sinks)
    return nodes.attend(query, key, value, sinks, sight.nodes, scale)


def _flex(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    blocks: BlockMask,
    scale: float,
    cap: float | None,
    sinks: Tensor | None,
) -> Tensor:
    _allow_variants()
    beside = {} if sinks is None else {"return_aux": AuxRequest(lse=True)}
    found = _compiled()(
        query,
        key,
        value,
        score_mod=None if cap is None else _capped(cap, query.device),
        block_mask=blocks,
        scale=scale,
        enable_gqa=True,
        **beside,
    )
    if sinks is None:
        return found
    out, sums = found
    seen = torch.sigmoid(sums.lse - sinks[:, None])  # the part of the softmax that isn't the sink
    return out * seen[..., None].to(out.dtype)


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
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor,
    scale: float,
    cap: float | None,
    sinks: Tensor | None,
) -> Tensor:
    """Return the same by a mask, which has room for what the fused kernels can't do."""
    if cap is None and sinks is None:
        return F.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, scale=scale, enable_gqa=True
        )
    keys, values = nodes.spread(query, key, value)
    products = query @ keys.transpose(-1, -2) * scale
    if cap is not None:
        products = cap * torch.tanh(products / cap)
    products = products.masked_fill(~mask, -torch.inf)
    if sinks is not None:
        beside = sinks.to(products.dtype)[:, None, None].expand(*products.shape[:-1], 1)
        products = torch.cat([products, beside], -1)
    wider = torch.promote_types(products.dtype, torch.float32)
    weights = products.softmax(-1, dtype=wider)[..., : keys.shape[-2]]
    return weights.to(values.dtype) @ values


def _interface(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **other: Any,
) -> tuple[Tensor, None]:
    """Attend as transformers' layers ask for it: (1, heads, M, D) in, (1, M, H, D) out."""
    sight: Sight = other["sight"]
    sight.readers.add(id(module))
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    out = attend(query, key, value, sight, scale, sliding_window, softcap, s_aux)
    return out.transpose(1, 2).contiguous(), None


AttentionInterface.register(KERNEL, _interface)  # pyright: ignore[reportArgumentType]
