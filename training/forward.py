"""The forward pass: the log-probability of each completion token, each prompt run once.

Rollouts of one task share their prompt.  It goes through the model a single time; its keys and
values, gradient included, are then handed to every completion that follows it.  The numbers are
those of the plain padded forward (tests/test_forward.py); the work is U·P + N·T tokens in place of
N·(P + T).  Prior art: Prefix Grouper (arXiv:2506.05433).
"""

from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from transformers import DynamicCache

from .types import Rows, Scores

CHUNK = 128
"""Tokens whose logits are in memory at once."""


def score(model: Any, rows: Rows) -> Scores:
    """Return the (N, T) log-probabilities and entropies of the rows under a causal `model`.

    Args:
        model: a transformers causal language model whose logits are `lm_head(hidden)`.
        rows: on the model's device.

    Returns:
        float32, zero under padding.  Entropies carry no gradient.
    """
    backbone = getattr(model, model.base_model_prefix)
    prefix_lengths = rows.prompt_mask.sum(-1)
    prefix = backbone(
        input_ids=rows.prompts,
        attention_mask=rows.prompt_mask.long(),
        position_ids=(rows.prompt_mask.long().cumsum(-1) - 1).clamp(min=0),
        past_key_values=DynamicCache(config=model.config),
        use_cache=True,
    )
    cache: Any = prefix.past_key_values
    cache.batch_select_indices(rows.owner)
    own = backbone(
        input_ids=rows.tokens,
        attention_mask=torch.cat([rows.prompt_mask[rows.owner], rows.mask], dim=1).long(),
        position_ids=prefix_lengths[rows.owner, None]
        + torch.arange(rows.tokens.shape[1], device=rows.tokens.device),
        past_key_values=cache,
        use_cache=True,
    )
    last = prefix.last_hidden_state[rows.owner, -1:]  # left padding: the last place is the prompt's
    hidden = torch.cat([last, own.last_hidden_state[:, :-1]], dim=1)
    temperature = rows.temperature[:, None].expand_as(rows.tokens)
    picked = [t[rows.mask] for t in (hidden, rows.tokens, temperature)]
    logp, entropy = _chunked(model.get_output_embeddings(), *picked)
    zeros = torch.zeros(rows.tokens.shape, device=logp.device)
    return Scores(
        zeros.masked_scatter(rows.mask, logp), zeros.masked_scatter(rows.mask, entropy.detach())
    )


def _chunked(head: Any, hidden: Tensor, tokens: Tensor, temperature: Tensor) -> tuple[Tensor, ...]:
    """Return (K,) log-probabilities and entropies; logits live for `CHUNK` tokens at a time."""
    parts = zip(*(t.split(CHUNK) for t in (hidden, tokens, temperature)), strict=True)
    pairs = [checkpoint(_token, head, *part, use_reentrant=False) for part in parts]
    empty = hidden.new_zeros(0, dtype=torch.float32)
    return tuple(torch.cat([empty, *column]) for column in zip(*pairs, strict=True)) or (
        empty,
        empty,
    )


def _token(head: Any, hidden: Tensor, tokens: Tensor, temperature: Tensor) -> tuple[Tensor, Tensor]:
    logits = head(hidden).float() / temperature[:, None]
    logp = logits.log_softmax(-1)
    with torch.no_grad():
        entropy = -(logp.exp() * logp).sum(-1)
    return logp.gather(-1, tokens[:, None]).squeeze(-1), entropy
