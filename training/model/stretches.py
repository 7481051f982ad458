"""The stretches of a prefix tree that a recurrent layer reads, each after the one it goes on from.

Such a layer keeps a state of what it has read.  What several rows begin with it reads once, and all
that follows goes on from the state that it has then.  Each state that is handed on takes a call of
its own, so what is short is read again by each that follows it.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .tree import Node

SHORTEST = 64
"""The least tokens of a stretch whose state is handed on: what the layers' kernels take at once."""
FEWEST = 2
"""The least that is read at once: what reads one token from a state has no gradient on a GPU."""


class Turn(NamedTuple):
    """B stretches that are read at once, of L tokens at most."""

    places: Tensor
    """(B, L) the places of their tokens in the tree, padded on the right with -1."""
    numbers: tuple[int, ...]
    """What they are called by those that go on from them; empty: none does."""
    after: tuple[int, ...]
    """The stretch that each goes on from; empty: they begin."""


class _Stretch(NamedTuple):
    nodes: tuple[Node, ...]
    depth: int
    after: int | None
    ends: bool

    @property
    def length(self) -> int:
        return sum(node.end - node.start for node in self.nodes)

    @property
    def order(self) -> tuple[int, ...]:
        """The stretches that can be read at once, and when: padding has no place before another."""
        if self.ends:
            return (1, self.after is not None, self.length.bit_length())
        return (0, self.depth, self.length)


def turns(nodes: Sequence[Node], shortest: int = SHORTEST) -> Iterator[Turn]:
    """Yield what is read, in turn; each of the tree's tokens is in one turn at least.

    Args:
        nodes: of the tree.
        shortest: the least tokens of a stretch whose state is handed on; `FEWEST` or more.
    """
    found = _stretches(nodes, shortest)
    order = sorted(range(len(found)), key=lambda n: found[n].order)
    for _, some in groupby(order, key=lambda n: found[n].order):
        numbers = tuple(some)
        together = [found[n] for n in numbers]
        after = tuple(one.after for one in together if one.after is not None)
        places = padded(one.nodes for one in together)
        missing = max(FEWEST - places.shape[1], 0)
        places = F.pad(places, (0, missing), value=-1)
        yield Turn(places, () if together[0].ends else numbers, after)


def cost(nodes: Sequence[Node]) -> int:
    """Return how many tokens are read, each stretch as long as the longest that is read with it.

    A stretch counts as `SHORTEST` at least: it is as dear, for its kernel and for its state.
    """
    found = sorted(_stretches(nodes, SHORTEST), key=lambda one: one.order)
    groups = (list(some) for _, some in groupby(found, key=lambda one: one.order))
    return sum(len(some) * max(SHORTEST, *(one.length for one in some)) for some in groups)


def padded(stretches: Iterable[Sequence[Node]]) -> Tensor:
    """Return (B, L) the places of the tokens of B stretches, padded on the right with -1."""
    places = [torch.cat([torch.arange(n.start, n.end) for n in nodes]) for nodes in stretches]
    return nn.utils.rnn.pad_sequence(places, batch_first=True, padding_value=-1)


def first(places: Iterable[Tensor]) -> Tensor:
    """Return (M,) where each of the tree's tokens comes first in the places, one after the other.

    It is the same wherever it comes; but for the last bit, so always the first is taken.
    """
    flat = torch.cat([some.flatten() for some in places]).numpy()
    found, where = np.unique(flat, return_index=True)
    return torch.from_numpy(where[found >= 0])


def _stretches(nodes: Sequence[Node], shortest: int) -> list[_Stretch]:
    """Return those that end a row, or are long enough to be gone on from, depth first."""
    found: list[_Stretch] = []
    path: list[tuple[int, int | None, _Stretch]] = []
    for node in nodes:
        while path and path[-1][0] <= node.start:
            path.pop()
        _, after, above = path[-1] if path else (0, None, _Stretch((), 0, None, ends=False))
        if after is None:  # what is above isn't handed on, but read again
            own = _Stretch((*above.nodes, node), above.depth, above.after, node.last == node.end)
        else:
            own = _Stretch((node,), above.depth + 1, after, node.last == node.end)
        handed = own.ends or own.length >= shortest
        path.append((node.last, len(found) if handed else None, own))
        if handed:
            found.append(own)
    return found
