"""Topology: who hears whom.  Agents are numbered in their speaking order; nobody hears itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Annotated, Any, Literal

import networkx as nx
from pydantic import BeforeValidator, Field

from moot.agents.beside import TextFile
from moot.agents.errors import MootError, near
from moot.agents.types import Settings

from .graphml import links

Sees = Literal["named", "anonymous", "answer", "summary"]
"""What is shown of a turn: its text with the speaker's name, its text alone, the answer that was
read from it, or a critic's summary of it."""


@dataclass(frozen=True, slots=True, order=True)
class Edge:
    """`listener` hears `speaker`."""

    listener: int
    speaker: int
    sees: Sees | None = None
    """What it is shown; `None`: what the protocol shows by default."""


class Full(Settings):
    """Everybody hears everybody (Du et al., arXiv:2305.14325)."""

    kind: Literal["full"] = "full"

    def drawn(self, names: Sequence[str], rng: Random) -> list[Edge]:
        """Return who hears whom."""
        everyone = range(len(names))
        return [Edge(i, j) for i in everyone for j in everyone if i != j]


class Ring(Settings):
    """Each hears the one before and the one after it (Li et al., arXiv:2406.11776)."""

    kind: Literal["ring"] = "ring"

    def drawn(self, names: Sequence[str], rng: Random) -> list[Edge]:
        """Return who hears whom."""
        return _both_ways(nx.cycle_graph(len(names)))


class Star(Settings):
    """The hub hears all, and all hear the hub."""

    kind: Literal["star"] = "star"
    hub: str | None = None
    """The name of the agent in the middle; by default the first."""

    def drawn(self, names: Sequence[str], rng: Random) -> list[Edge]:
        """Return who hears whom."""
        hub = 0 if self.hub is None else _place(self.hub, names)
        rays = [(hub, i) for i in range(len(names)) if i != hub]
        return _both_ways(nx.Graph(rays))


class Chain(Settings):
    """Each hears the one before it; the first hears nobody."""

    kind: Literal["chain"] = "chain"

    def drawn(self, names: Sequence[str], rng: Random) -> list[Edge]:
        """Return who hears whom."""
        return [Edge(i, i - 1) for i in range(1, len(names))]


class Layered(Settings):
    """Agents stand in layers, and hear all of the layer before theirs."""

    kind: Literal["layered"] = "layered"
    widths: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=2)
    """How many agents stand in each layer; together as many as there are."""

    def drawn(self, names: Sequence[str], rng: Random) -> list[Edge]:
        """Return who hears whom."""
        if sum(self.widths) != len(names):
            raise MootError(
                f"widths add up to {sum(self.widths)}, and there are {len(names)} policies"
            )
        layers: list[range] = []
        for width in self.widths:
            first = layers[-1].stop if layers else 0
            layers.append(range(first, first + width))
        return [Edge(b, a) for before, after in pairwise(layers) for b in after for a in before]


class Regular(Settings):
    """A random graph in which everybody hears, and is heard by, the same number of others."""

    kind: Literal["regular"] = "regular"
    degree: int = Field(ge=1)
    """How many others each agent hears."""

    def drawn(self, names: Sequence[str], rng: Random) -> list[Edge]:
        """Return who hears whom."""
        n = len(names)
        if self.degree >= n or self.degree * n % 2:
            raise MootError(
                f"{n} agents can't hear {self.degree} others each: the degree must be below "
                "their number, and one of the two even"
            )
        # A dense one is drawn by who doesn't hear whom: pairings that fit are hard to come by.
        if self.degree > (n - 1) / 2:
            return _both_ways(nx.complement(nx.random_regular_graph(n - 1 - self.degree, n, rng)))
        return _both_ways(nx.random_regular_graph(self.degree, n, seed=rng))


class SmallWorld(Settings):
    """A ring of near neighbours, some of whom are exchanged for distant ones (Watts, Strogatz)."""

    kind: Literal["small_world"] = "small_world"
    degree: int = Field(ge=2)
    """How many near neighbours each agent begins with; an even number."""
    rewire: float = Field(default=0.1, ge=0, le=1)
    """The probability that an edge leads to a random other agent instead."""

    def drawn(self, names: Sequence[str], rng: Random) -> list[Edge]:
        """Return who hears whom."""
        if self.degree % 2 or self.degree >= len(names):
            raise MootError(
                f"degree must be even and below the number of agents, which is {len(names)}"
            )
        return _both_ways(nx.watts_strogatz_graph(len(names), self.degree, self.rewire, seed=rng))


class Chance(Settings):
    """Each hears each other one with the same probability."""

    kind: Literal["random"] = "random"
    p: float = Field(ge=0, le=1)
    """The probability with which each agent hears each other one."""

    def drawn(self, names: Sequence[str], rng: Random) -> list[Edge]:
        """Return who hears whom."""
        n = range(len(names))
        return [Edge(i, j) for i in n for j in n if i != j and rng.random() < self.p]


class Link(Settings):
    """One edge that is written out."""

    speaker: str
    """The name of the agent that is heard."""
    listener: str
    """The name of the agent that hears it."""
    sees: Sees | None = None
    """What the listener is shown; by default what the protocol shows."""


class Written(Settings):
    """Every edge is written out, or stands in a file, by the agents' names."""

    kind: Literal["edges"] = "edges"
    edges: Annotated[
        tuple[Link, ...],
        Field(min_length=1),
        BeforeValidator(links, json_schema_input_type=tuple[Link, ...] | TextFile),
    ]
    """Who is heard by whom; or {file: PATH} for a GraphML file."""

    def drawn(self, names: Sequence[str], rng: Random) -> list[Edge]:
        """Return who hears whom."""
        found: dict[tuple[int, int], Edge] = {}
        for link in self.edges:
            listener, speaker = _place(link.listener, names), _place(link.speaker, names)
            if listener == speaker:
                raise MootError(f"'{link.listener}' can't be told to hear itself")
            if (listener, speaker) in found:
                raise MootError(f"'{link.listener}' hears '{link.speaker}' twice over")
            found[listener, speaker] = Edge(listener, speaker, link.sees)
        return [found[pair] for pair in sorted(found)]


Topology = Annotated[
    Full | Ring | Star | Chain | Layered | Regular | SmallWorld | Chance | Written,
    Field(discriminator="kind"),
]


DRAWN = Regular | SmallWorld | Chance
"""Those that are drawn at random."""


def _both_ways(graph: Any) -> list[Edge]:
    """Return the edges of an undirected graph, each once in either direction."""
    ways = (way for a, b in graph.edges for way in (Edge(a, b), Edge(b, a)))
    return sorted(edge for edge in ways if edge.listener != edge.speaker)


def _place(name: str, names: Sequence[str]) -> int:
    if name not in names:
        raise MootError(f"no policy is called '{name}'{near(name, names)}")
    return names.index(name)
