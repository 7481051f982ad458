"""What a model has read so far, of several rows of tokens at once.

Shapes: N rows, L new tokens, V vocabulary entries.
"""

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache


class Context:
    """What N rows leave in a model, keys and values or states, with padding masked."""

    def __init__(self, model: Any) -> None:
        """Begin with one row that has read nothing."""
        self._model = model
        self._cache: Any = DynamicCache(config=model.config)
        self._mask = torch.ones(1, 0, dtype=torch.long, device=model.device)

    @property
    def gapless(self) -> bool:
        """Whether padding may stand before all of a row or behind it, but not in its midst.

        In a sliding window padding counts, and what a layer remembers in a state takes it in.
        """
        states = any(hasattr(layer, "recurrent_states") for layer in self._cache.layers)
        return states or any(self._cache.is_sliding)

    def read(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Read (N, L) more tokens, real where `mask` is 1, and return (N, V) logits after them."""
        return self.follow(ids, mask, keep=1)[:, -1]

    def follow(self, ids: Tensor, mask: Tensor, keep: int = 0) -> Tensor:
        """Read as `read` does, and return (N, keep, V) logits after each of the last `keep` tokens.

        At 0 they are those after all of them: (N, L, V).
        """
        earlier = self._mask.sum(-1, keepdim=True)
        self._mask = torch.cat([self._mask, mask], dim=1)
        out = self._model(
            input_ids=ids,
            attention_mask=self._mask,
            position_ids=(earlier + mask.cumsum(-1) - 1).clamp(min=0),
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=keep,
        )
        return out.logits

    def select(self, rows: Sequence[int]) -> None:
        """Go on with these rows, in this order; a row may be taken several times."""
        index = torch.tensor(rows, device=self._mask.device)
        self._cache.reorder_cache(index)  # states too, where there are any
        self._mask = self._mask[index]


def begin(model: Any, prompts: Sequence[Sequence[int]]) -> tuple[Context, Tensor]:
    """Return the context of unlike prompts, a row each, and (N, V) logits of what follows them.

    What all prompts begin with, such as a system message, is read once where the padding of what
    follows it does no harm.
    """
    context = Context(model)
    start = shared(prompts) if len(prompts) > 1 and not context.gapless else 0
    if start:
        context.read(*padded([prompts[0][:start]], model.device))
    context.select([0] * len(prompts))
    logits = context.read(*padded([prompt[start:] for prompt in prompts], model.device))
    return context, logits


def shared(prompts: Sequence[Sequence[int]]) -> int:
    """Return how many tokens all prompts begin with; at least one is left of each."""
    shortest = min(map(len, prompts))
    columns = zip(*(prompt[: shortest - 1] for prompt in prompts), strict=True)
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))


def padded(
    rows: Sequence[Sequence[int]], device: torch.device, *, behind: bool = False
) -> tuple[Tensor, Tensor]:
    """Return (N, L) ids and mask; padding is on the left, so that the last token ends every row.

    Args:
        rows: ids.
        device: where the tensors are to be.
        behind: whether padding is on the right.
    """
    length = max(map(len, rows))

    def filled(row: Sequence[int]) -> list[int]:
        pad = [0] * (length - len(row))
        return [*row, *pad] if behind else [*pad, *row]

    ids = [filled(row) for row in rows]
    mask = [filled([1] * len(row)) for row in rows]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)
