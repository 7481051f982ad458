"""A drawing of who heard whom: where agents stand and arrows run; the page inks it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import hypot, sqrt

import networkx as nx

from ..analysis.graph import by_group

MANY = 40
"""More agents than this are drawn by group."""

WIDTH, HEIGHT, MARGIN_X, MARGIN_Y = 640, 430, 96, 52


@dataclass(frozen=True, slots=True)
class Node:
    """An agent (or a group) on the page."""

    name: str
    role: str
    turns: int
    members: int
    x: float
    y: float
    radius: float

    @property
    def label_y(self) -> float:
        """Where its name stands: on the side away from the middle."""
        return self.y + (-self.radius - 8 if self.y < 0.4 * HEIGHT else self.radius + 17)


@dataclass(frozen=True, slots=True)
class Edge:
    """That `listener` heard `speaker`, on the page."""

    speaker: str
    listener: str
    role: str
    times: int
    differed: int
    adopted: int
    path: str
    head: str
    """The arrow's tip, as a polygon's points."""
    width: float


@dataclass(frozen=True, slots=True)
class Drawing:
    """A graph laid out: nodes over edges."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    groups: bool
    """Whether nodes stand for groups of agents."""
    width: int = WIDTH
    height: int = HEIGHT


def drawn(graph: nx.DiGraph[str]) -> Drawing:
    """Return where everything goes; the same graph gives the same drawing."""
    groups = len(graph) > MANY
    shown = by_group(graph) if groups else graph
    most = max((seen["turns"] for _, seen in shown.nodes(data=True)), default=1)
    places = _places(shown)
    nodes = {
        name: Node(
            name=name,
            role=seen["role"],
            turns=seen["turns"],
            members=seen.get("members", 1),
            x=places[name][0],
            y=places[name][1],
            radius=9 + 13 * sqrt(seen["turns"] / most),
        )
        for name, seen in shown.nodes(data=True)
    }
    often = max((seen["times"] for _, _, seen in shown.edges(data=True)), default=1)
    edges = [
        _edge(nodes[a], nodes[b], seen, 1 + 5 * seen["times"] / often)
        for a, b, seen in shown.edges(data=True)
    ]
    return Drawing(tuple(nodes.values()), tuple(edges), groups)


def _places(graph: nx.DiGraph[str]) -> dict[str, tuple[float, float]]:
    """Return a place for each node: springs, from a circle in the speaking order."""
    spots = nx.circular_layout(graph)
    if graph.number_of_edges():
        springs = graph.to_undirected()  # or only listeners would be pulled
        spots = nx.spring_layout(springs, pos=spots, weight=None, iterations=300, seed=0)
    xs = _spread([float(spots[name][0]) for name in graph], MARGIN_X, WIDTH)
    ys = _spread([float(spots[name][1]) for name in graph], MARGIN_Y, HEIGHT)
    return dict(zip(graph, zip(xs, ys, strict=True), strict=True))


def _spread(values: list[float], margin: float, size: float) -> list[float]:
    """Return `values` stretched over the page, or centred where they are (nearly) all alike."""
    low, high = min(values, default=0.0), max(values, default=0.0)
    if high - low < 1e-3:
        return [size / 2] * len(values)
    return [round(margin + (v - low) / (high - low) * (size - 2 * margin), 1) for v in values]


def _edge(a: Node, b: Node, seen: Mapping[str, int], width: float) -> Edge:
    """Return a bent arrow from `a` to `b`; both ways at once bend apart."""
    told = (a.name, b.name, a.role, seen["times"], seen["differed"], seen["adopted"])
    if a.name == b.name:
        r, top = a.radius, a.y - a.radius
        path = f"M{a.x - 5:.1f} {top + 1:.1f}C{a.x - 2.2 * r:.1f} {top - 30:.1f} "
        path += f"{a.x + 2.2 * r:.1f} {top - 30:.1f} {a.x + 7:.1f} {top - 4:.1f}"
        head = _head(a.x + 5, top, -0.35, 0.94, width)
        return Edge(*told, path, head, width)
    far = hypot(b.x - a.x, b.y - a.y) or 1.0
    middle_x = (a.x + b.x) / 2 + (b.y - a.y) * 0.12
    middle_y = (a.y + b.y) / 2 - (b.x - a.x) * 0.12
    out = hypot(middle_x - a.x, middle_y - a.y) or far
    x0 = a.x + (middle_x - a.x) / out * (a.radius + 2)
    y0 = a.y + (middle_y - a.y) / out * (a.radius + 2)
    way_x, way_y = (b.x - middle_x) / out, (b.y - middle_y) / out
    tip_x, tip_y = b.x - way_x * (b.radius + 3), b.y - way_y * (b.radius + 3)
    size = 5 + width
    path = f"M{x0:.1f} {y0:.1f}Q{middle_x:.1f} {middle_y:.1f} "
    path += f"{tip_x - way_x * size * 0.8:.1f} {tip_y - way_y * size * 0.8:.1f}"
    head = _head(tip_x, tip_y, way_x, way_y, width)
    return Edge(*told, path, head, width)


def _head(x: float, y: float, way_x: float, way_y: float, width: float) -> str:
    size = 5 + width
    back_x, back_y = x - way_x * size, y - way_y * size
    half = size * 0.55
    corners = (
        (x, y),
        (back_x - way_y * half, back_y + way_x * half),
        (back_x + way_y * half, back_y - way_x * half),
    )
    return " ".join(f"{px:.1f},{py:.1f}" for px, py in corners)
