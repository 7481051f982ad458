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
FEW = 16
"""Adapters of so many rows, or fewer, are multiplied together, filled up to the same number."""


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
        few = [span for span in self._spans if span[2] - span[1] <= FEW]
        self._together = _Together(few) if len(few) > 1 else None
        if self._together is not None:
            self._spans = [span for span in self._spans if span[2] - span[1] > FEW]

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
        if not len(self._order):
            return
        rows = x.index_select(0, self._order).float()
        narrow = [rows] if down is None else [self._each(rows, into) for into in down]
        if not any(one.any() for one in narrow):  # as most have none for embedding and logits
            return
        widths = [out.shape[-2] for out in up]
        added = rows.new_empty(len(rows), sum(widths))
        for part, one, out in zip(added.split(widths, dim=1), narrow, up, strict=True):
            self._each(one, out, part)
        wide = min(added.shape[1], y.shape[1])
        y[:, :wide].index_add_(0, self._order, added[:, :wide].to(y.dtype), alpha=scale)

    def _each(self, rows: Tensor, stacked: Tensor, found: Tensor | None = None) -> Tensor:
        """Return (n, O) what its own of (places, 1, O, I) adapters makes of each row."""
        found = rows.new_empty(len(rows), stacked.shape[-2]) if found is None else found
        for place, start, end in self._spans:
            torch.mm(rows[start:end], stacked[place, 0].float().t(), out=found[start:end])
        if self._together is not None:
            self._together.fill(found, rows, stacked)
        return found


class _Together:
    """Adapters of few rows each."""

    def __init__(self, spans: Sequence[tuple[int, int, int]]) -> None:
        """Take adapters, each with its place and where its rows start and end, in their order."""
        own = {place: range(start, end) for place, start, end in spans}
        first, last = spans[0][0], spans[-1][0]
        # Weights that lie together needn't be copied: what has no rows between is given any.
        near = last - first + 1 <= 2 * len(spans)
        places = range(first, last + 1) if near else list(own)
        self._places = slice(first, last + 1) if near else torch.tensor(places)
        most = max(map(len, own.values()))
        rows = [own.get(place, range(0)) for place in places]
        self._padded = torch.tensor([[*some, *[0] * (most - len(some))] for some in rows])
        real = [i < len(some) for some in rows for i in range(most)]
        self._real = torch.tensor(real).nonzero()[:, 0]
        self._rows = self._padded.flatten()[self._real]

    def fill(self, found: Tensor, rows: Tensor, stacked: Tensor) -> None:
        """Put into (n, O) `found` what these adapters make of their rows."""
        weights = stacked[self._places, 0].float()  # (G, O, I)
        made = rows[self._padded] @ weights.transpose(1, 2)  # (G, M, O)
        found.index_copy_(0, self._rows, made.flatten(0, 1).index_select(0, self._real))
