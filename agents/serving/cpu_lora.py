"""LoRA in a vLLM worker on a CPU: who speaks through which adapter, and at what cost.

vLLM 0.32 takes a copy of its adapter's weights for every token of a batch there; and for a token of
the base model, whose place is -1, those of the last place, so that where all places are taken the
base model speaks through an adapter.  Here each adapter is multiplied once, and rows of the base
model are left alone.  What is added goes where it belongs without a copy, where rows lie together.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

BASE = -1
"""The place of what speaks through no adapter."""
FEW = 16
"""Adapters of so many rows, or fewer, are multiplied together, filled up to the same number."""


class Parts:
    """Which rows of a batch speak through which adapter."""

    def __init__(self, places: Tensor) -> None:
        """Take (N,) the place of the adapter of each row."""
        found, counts = torch.unique_consecutive(places, return_counts=True)
        ends = counts.cumsum(0).tolist()
        runs: list[_Run] = []
        apart: dict[int, list[int]] = {}
        for place, start, end in zip(found.tolist(), [0, *ends], ends, strict=False):
            if place != BASE and end - start > FEW:
                runs.append(_Run(place, start, end))
            elif place != BASE:
                apart.setdefault(place, []).extend(range(start, end))
        few = {place: rows for place, rows in sorted(apart.items()) if len(rows) <= FEW}
        many = [{place: rows} for place, rows in apart.items() if len(rows) > FEW]
        self._parts = [*runs, *(_Batch(rows) for rows in (few, *many) if rows)]

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
        for part in self._parts:
            rows = part.rows(x).float()
            narrow = [rows @ part.of(into) for into in down or ()] or [rows] * len(up)
            if any(one.any() for one in narrow):  # most have none for embedding and logits
                part.add(
                    y, [(one, part.of(out)) for one, out in zip(narrow, up, strict=True)], scale
                )


class _Run:
    """One adapter and M rows that lie together: a prompt, or the words of who is alone."""

    def __init__(self, place: int, start: int, end: int) -> None:
        self._place = place
        self._rows = slice(start, end)

    def rows(self, x: Tensor) -> Tensor:
        """Return (M, I) its rows."""
        return x[self._rows]

    def of(self, stacked: Tensor) -> Tensor:
        """Return (I, O) its own of (places, 1, O, I) weights."""
        return stacked[self._place, 0].float().t()

    def add(self, y: Tensor, made: Sequence[tuple[Tensor, Tensor]], scale: float) -> None:
        """Add the products, side by side, to its rows of `y`."""
        start = 0
        for rows, weights in made:
            there = y[self._rows, start : start + weights.shape[1]]
            start += weights.shape[1]
            there.add_(rows @ weights[:, : there.shape[1]], alpha=scale)


class _Batch:
    """Adapters that are multiplied together: G of them, each with M rows, some of them none."""

    def __init__(self, own: Mapping[int, Sequence[int]]) -> None:
        """Take the rows of each adapter, by its place; places rise."""
        first, last = min(own), max(own)
        # Weights that lie together needn't be copied: what has no rows between is given any.
        near = last - first + 1 <= 2 * len(own)
        places = range(first, last + 1) if near else [*own]
        self._places = slice(first, last + 1) if near else torch.tensor(places)
        most = max(map(len, own.values()))
        rows = [[*own.get(place, ()), *[BASE] * most][:most] for place in places]
        flat = torch.tensor(rows).flatten()
        real = flat != BASE
        self._shape = len(rows), most
        self._taken = flat.clamp(min=0)  # for none the first, whose outcome is thrown away
        self._rows = flat[real]
        self._real = None if real.all() else real.nonzero()[:, 0]

    def rows(self, x: Tensor) -> Tensor:
        """Return (G, M, I) its rows."""
        return x.index_select(0, self._taken).unflatten(0, self._shape)

    def of(self, stacked: Tensor) -> Tensor:
        """Return (G, I, O) its own of (places, 1, O, I) weights."""
        return stacked[self._places, 0].float().transpose(1, 2)

    def add(self, y: Tensor, made: Sequence[tuple[Tensor, Tensor]], scale: float) -> None:
        """Add the products, side by side, to its rows of `y`."""
        added = torch.cat([(rows @ weights).flatten(0, 1) for rows, weights in made], -1)
        if self._real is not None:
            added = added.index_select(0, self._real)
        wide = min(added.shape[1], y.shape[1])
        y[:, :wide].index_add_(0, self._rows, added[:, :wide].to(y.dtype), alpha=scale)
