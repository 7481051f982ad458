"""LoRA in a vLLM worker on a CPU: who speaks through which adapter, and at what cost.

vLLM 0.32 takes a copy of its adapter's weights for every token of a batch there; and for a token of
the base model, whose place is -1, those of the last place, so that where all places are taken the
base model speaks through an adapter.  Here rows are put in order of their adapters, each of which
is multiplied once, and those of the base model are left alone.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

BASE = -1
"""The place of what speaks through no adapter."""


class Parts:
    """Which rows of a batch speak through which adapter."""

    def __init__(self, places: Tensor) -> None:
        """Put rows in order, by (N,) the place of the adapter of each."""
        order = torch.argsort(places, stable=True)
        found, counts = torch.unique_consecutive(places[order], return_counts=True)
        base = int((places == BASE).sum())  # which come first
        ends = [end - base for end in counts.cumsum(0).tolist()]
        spans = zip(found.tolist(), [-base, *ends], ends, strict=False)
        self._order = order[base:]
        self._spans = [span for span in spans if span[0] != BASE]

    def add(
        self,
        y: Tensor,
        x: Tensor,
        up: Sequence[Tensor],
        down: Sequence[Tensor] | None = None,
        scale: float = 1.0,
    ) -> None:
        """Add to (N, O) `y`, in place, what the adapters make of (N, I) `x`.

        Args:
            y: a layer's output: slices of it lie side by side, and what is beyond them is padding.
            x: its input; where there is no `down`, of the adapters' own width already.
            up: for each slice (places, 1, O, R).
            down: for each slice (places, 1, R, I).
            scale: of what is added.
        """
        if not self._spans:
            return
        rows = x.index_select(0, self._order).float()
        widths = [out.shape[-2] for out in up]
        added = rows.new_empty(len(rows), sum(widths))
        for place, start, end in self._spans:
            own = rows[start:end]
            for i, part in enumerate(added[start:end].split(widths, dim=1)):
                narrow = own if down is None else own @ down[i][place, 0].float().t()
                torch.mm(narrow, up[i][place, 0].float().t(), out=part)
        wide = min(added.shape[1], y.shape[1])
        y[:, :wide].index_add_(0, self._order, added[:, :wide].to(y.dtype), alpha=scale)
