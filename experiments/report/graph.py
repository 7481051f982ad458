"""Who heard whom: the interaction graph, as the turns' `heard` has it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

import networkx as nx


def hearing(turns: Iterable[Mapping[str, Any]]) -> nx.DiGraph[str]:
    """Return the graph with an edge a → b where b heard a; its `times` is how often.

    Nodes are agents by name, with their `group`, `role` and how many `turns` they spoke.

    Args:
        turns: rows of turns.parquet, each episode's together.
    """
    graph: nx.DiGraph[str] = nx.DiGraph()
    for _, episode in groupby(turns, key=lambda turn: (turn.get("cycle"), turn["episode"])):
        speakers: dict[int, str] = {}
        for turn in episode:
            agent = speakers[turn["turn"]] = turn["agent"]
            if agent not in graph:
                graph.add_node(agent, group=turn["group"], role=turn["role"], turns=0)
            graph.nodes[agent]["turns"] += 1
            for earlier in turn["heard"] or ():
                if (speaker := speakers.get(earlier)) is not None:
                    _add(graph, speaker, agent, 1)
    return graph


def by_group(graph: nx.DiGraph[str]) -> nx.DiGraph[str]:
    """Return the graph with each group of agents as one node, which counts its `members`."""
    groups: nx.DiGraph[str] = nx.DiGraph()
    of = {agent: str(seen["group"]) for agent, seen in graph.nodes(data=True)}
    for agent, seen in graph.nodes(data=True):
        if of[agent] not in groups:
            groups.add_node(of[agent], role=seen["role"], turns=0, members=0)
        groups.nodes[of[agent]]["turns"] += seen["turns"]
        groups.nodes[of[agent]]["members"] += 1
    for speaker, listener, seen in graph.edges(data=True):
        _add(groups, of[speaker], of[listener], seen["times"])
    return groups


def _add(graph: nx.DiGraph[str], speaker: str, listener: str, times: int) -> None:
    before = graph.edges[speaker, listener]["times"] if graph.has_edge(speaker, listener) else 0
    graph.add_edge(speaker, listener, times=before + times)
