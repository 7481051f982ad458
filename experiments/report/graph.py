"""Who heard whom: the interaction graph, as the turns' `heard` has it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

import networkx as nx

from moot.agents.population import family


def hearing(turns: Iterable[Mapping[str, Any]]) -> nx.DiGraph[str]:
    """Return the graph with an edge a → b where b heard a; its `times` is how often.

    Nodes are agents by name, with their `role` and how many `turns` they spoke.

    Args:
        turns: rows of turns.parquet (episode, turn, agent, role, heard), each episode's together.
    """
    graph: nx.DiGraph[str] = nx.DiGraph()
    for _, episode in groupby(turns, key=lambda turn: (turn.get("cycle"), turn["episode"])):
        speakers: dict[int, str] = {}
        for turn in episode:
            agent = speakers[turn["turn"]] = turn["agent"]
            if agent not in graph:
                graph.add_node(agent, role=turn["role"], turns=0)
            graph.nodes[agent]["turns"] += 1
            for earlier in turn["heard"] or ():
                if (speaker := speakers.get(earlier)) is not None:
                    _add(graph, speaker, agent, 1)
    return graph


def by_family(graph: nx.DiGraph[str]) -> nx.DiGraph[str]:
    """Return the graph with each family as one node, which counts its `members`."""
    families: nx.DiGraph[str] = nx.DiGraph()
    for agent, seen in graph.nodes(data=True):
        name = family(agent)
        if name not in families:
            families.add_node(name, role=seen["role"], turns=0, members=0)
        families.nodes[name]["turns"] += seen["turns"]
        families.nodes[name]["members"] += 1
    for speaker, listener, seen in graph.edges(data=True):
        _add(families, family(speaker), family(listener), seen["times"])
    return families


def _add(graph: nx.DiGraph[str], speaker: str, listener: str, times: int) -> None:
    before = graph.edges[speaker, listener]["times"] if graph.has_edge(speaker, listener) else 0
    graph.add_edge(speaker, listener, times=before + times)
