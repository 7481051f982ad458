"""Sight: which tokens of a prefix tree see which, in the forms that kernels of attention want it.

Shapes: M tokens, B blocks of them.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask

from .stretches import SHORTEST, Turn, first, turns
from .tree import Node

BLOCK = 128
"""Tokens of a block of FlexAttention's."""


@dataclass(frozen=True)
class Sight:
    """Who sees whom among M tokens."""

    position: Tensor
    """(M,) how many tokens come before each in its sequences."""
    last: Tensor
    """(M,) one past the last token that follows each."""
    nodes: tuple[Node, ...] = ()
    """What the kernel of the CPU goes by, and recurrent layers."""
    handed: int = SHORTEST
    """The least tokens of a stretch whose state a recurrent layer hands on."""
    readers: set[int] = field(default_factory=set[int])
    """The modules that have gone by it, by their ids."""
    handed_on: list[Tensor] | None = None
    """The states that recurrent layers have handed on; `None`: nobody wants to know."""
    _blocks: dict[int | None, BlockMask] = field(
        default_factory=dict[int | None, BlockMask], init=False, repr=False
    )

    @classmethod
    def of(cls, nodes: tuple[Node, ...], position: Tensor) -> Self:
        """Return who sees whom in a tree."""
        lengths = torch.tensor([node.end - node.start for node in nodes])
        lasts = torch.tensor([node.last for node in nodes])
        last = lasts.repeat_interleave(lengths).to(position.device)
        return cls(position, last, nodes)

    @cached_property
    def depth(self) -> int:
        """The length of the longest sequence."""
        return int(self.position.max()) + 1

    @cached_property
    def turns(self) -> tuple[list[Turn], Tensor]:
        """What recurrent layers read in turn, and (M,) where each token comes first in that."""
        found, device = [*turns(self.nodes, self.handed)], self.position.device
        taken = first(turn.places for turn in found)
        there = [turn._replace(places=turn.places.clamp(min=0).to(device)) for turn in found]
        return there, taken.to(device)

    @cached_property
    def mask(self) -> Tensor:
        """(M, M) bool, True where the row's token sees the column's."""
        place = torch.arange(len(self.position), device=self.position.device)
        return (place[None, :] <= place[:, None]) & (place[:, None] < self.last[None, :])

    def within(self, window: int) -> Tensor:
        """Return (M, M) `mask`, where nothing further back than `window` tokens is seen."""
        return self.mask & (self.position[:, None] - self.position[None, :] < window)

    def blocks(self, window: int | None) -> BlockMask:
        """Return `within(window)`, or `mask`, by blocks of tokens, as FlexAttention wants it.

        Which blocks meet at all, and which see each other wholly, follows from the least and the
        greatest of what their tokens have: no M² entries are looked at.
        """
        if window not in self._blocks:
            self._blocks[window] = self._blocked(window)
        return self._blocks[window]

    def _blocked(self, window: int | None) -> BlockMask:
        length, last, position = len(self.position), self.last, self.position

        def sees(_batch: Tensor, _head: Tensor, query: Tensor, key: Tensor) -> Tensor:
            return (key <= query) & (query < last[key])

        def near(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
            back = position[query] - position[key]
            return sees(batch, head, query, key) & (back < far)

        (last_least, last_most), (least, most) = (_ends(t) for t in (last, position))
        start = torch.arange(0, length, BLOCK, device=last.device)
        end = (start + BLOCK).clamp(max=length)
        earlier = start[:, None] > start[None, :]  # whether the keys' block is before the queries'
        meet = earlier & (last_most[None, :] > start[:, None]) | (start[:, None] == start[None, :])
        whole = earlier & (last_least[None, :] >= end[:, None])
        if window is not None:
            far = torch.full((), window, device=last.device)
            meet &= least[:, None] - most[None, :] < far
            whole &= most[:, None] - least[None, :] < far
        return BlockMask.from_kv_blocks(
            *_listed(meet & ~whole),
            *_listed(whole),
            BLOCK_SIZE=BLOCK,
            mask_mod=sees if window is None else near,
            seq_lengths=(length, length),
        )


def _ends(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return (B,) the least and the greatest of (M,) values in each block of tokens."""
    padded = torch.cat([values, values[-1:].expand(-len(values) % BLOCK)]).view(-1, BLOCK)
    return padded.amin(1), padded.amax(1)


def _listed(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """Return (1, 1, B) how many there are of a row's blocks, and (1, 1, B, B) these first."""
    order = blocks.int().argsort(dim=-1, descending=True, stable=True)
    return blocks.sum(-1, dtype=torch.int32)[None, None], order.int()[None, None]
