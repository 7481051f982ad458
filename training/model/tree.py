"""The prefix tree of some token sequences: what they begin with alike stands in it once.

Its tokens are laid out depth first, so that whatever follows a token, in any sequence, is the
stretch right after it.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]


class Node(NamedTuple):
    """A stretch of tokens between two forks: what sees one of them sees the earlier ones too."""

    start: int
    """The place of its first token."""
    end: int
    """One past its last token."""
    last: int
    """One past the last token of all that follows it: `end` where it is a leaf."""


class Tree(NamedTuple):
    """M tokens that N sequences are made of."""

    tokens: Ids
    """(M,) ids, depth first."""
    position: Ids
    """(M,) how many tokens come before each in its sequences."""
    nodes: tuple[Node, ...]
    """In the order of their tokens, which they cover without gaps."""
    paths: tuple[Ids, ...]
    """For each of the N sequences the places of its tokens."""


def tree(sequences: Sequence[Sequence[int]]) -> Tree:
    """Return the prefix tree of `sequences`, which may be alike, or prefixes of each other."""
    ids = [np.asarray(sequence, dtype=np.int64) for sequence in sequences]
    order = sorted(range(len(ids)), key=lambda i: ids[i].astype(">i8").tobytes())
    paths: list[Ids] = [np.empty(0, dtype=np.int64)] * len(ids)
    tokens: list[Ids] = []
    forks: set[int] = set()  # places that end a node
    size, before, path = 0, np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    for i in order:
        shared = _shared(before, ids[i])
        new = len(ids[i]) - shared
        if new:
            forks.update((path[shared - 1 : shared] + 1).tolist())
            path = np.concatenate([path[:shared], np.arange(size, size + new)])
            tokens.append(ids[i][shared:])
            size += new
            forks.add(size)
            before = ids[i]
        paths[i] = path[: len(ids[i])]
    position = np.empty(size, dtype=np.int64)
    for one in paths:
        position[one] = np.arange(len(one))
    packed = np.concatenate([*tokens, np.empty(0, dtype=np.int64)])
    return Tree(packed, position, _nodes(sorted(forks), position), tuple(paths))


def leaves(nodes: Sequence[Node]) -> Iterator[list[Node]]:
    """Yield the path to each leaf, the nodes of a whole row from its first to its last token."""
    path: list[Node] = []
    for node in nodes:
        while path and path[-1].last <= node.start:
            path.pop()
        path.append(node)
        if node.last == node.end:
            yield [*path]


def _shared(one: Ids, other: Ids) -> int:
    """Return how many tokens both begin with."""
    length = min(len(one), len(other))
    differ = np.flatnonzero(one[:length] != other[:length])
    return int(differ[0]) if len(differ) else length


def _nodes(ends: Sequence[int], position: Ids) -> tuple[Node, ...]:
    """Return the nodes that end at `ends`; a node's subtree ends where one no deeper begins."""
    starts = [0, *ends][: len(ends)]
    lasts = [0] * len(ends)
    open_nodes: list[int] = []
    for n, start in enumerate(starts):
        while open_nodes and position[starts[open_nodes[-1]]] >= position[start]:
            lasts[open_nodes.pop()] = start
        open_nodes.append(n)
    for n in open_nodes:
        lasts[n] = len(position)
    return tuple(Node(*node) for node in zip(starts, ends, lasts, strict=True))
