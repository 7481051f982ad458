"""Who heard whom, as the turns' `heard` has it: by agents, by their groups, or turn by turn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import networkx as nx

from .interaction import Row, episodes, meetings

TOLD = ("cycle", "episode", "task", "turn", "round", "agent", "group", "role", "answer", "correct")
"""What the graph says of a turn."""
COLUMNS = (*TOLD, "heard")
"""What is looked at of a turn."""
FOUND = ("adopted", "corrected", "corrupted")
COUNTS = ("times", "differed", *FOUND)
"""What is counted of who spoke and who heard it: how often a turn of the one stood in a prompt of
the other; how often it was an unlike answer that still stood; how often that was adopted, made a
wrong answer right, and a right one wrong."""


def by_agent(turns: Iterable[Row]) -> nx.DiGraph[str]:
    """Return the graph with an edge a → b where b heard a, and what `COUNTS` says of it.

    Nodes are agents by name, with their `group`, their first `role` and how many `turns` they
    spoke.

    Args:
        turns: rows of turns.parquet, each episode's together.
    """
    graph: nx.DiGraph[str] = nx.DiGraph()
    for episode in episodes(turns):
        agents = {turn["turn"]: turn["agent"] for turn in episode}
        for turn in episode:
            agent = turn["agent"]
            if agent not in graph:
                graph.add_node(agent, group=turn["group"], role=turn["role"], turns=0)
            graph.nodes[agent]["turns"] += 1
            for earlier in turn["heard"] or ():
                if earlier in agents:
                    _add(graph, agents[earlier], agent, {"times": 1})
        for one in meetings(episode):
            counts = {"differed": 1, **{name: int(getattr(one, name)) for name in FOUND}}
            _add(graph, one.speaker["agent"], one.listener["agent"], counts)
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
        _add(groups, of[speaker], of[listener], seen)
    return groups


def by_turn(turns: Iterable[Row]) -> nx.DiGraph[str]:
    """Return the graph with an edge a → b where turn b heard turn a: did it differ, was it adopted?

    Nodes are called EPISODE:TURN, as in `moot run --change`; what isn't known of one is left out.

    Args:
        turns: rows of turns.parquet, each episode's together.
    """
    graph: nx.DiGraph[str] = nx.DiGraph()

    def name(turn: Row) -> str:
        return f"{turn['episode']}:{turn['turn']}"

    for episode in episodes(turns):
        names = {turn["turn"]: name(turn) for turn in episode}
        for turn in episode:
            told = {key: turn[key] for key in TOLD if turn[key] is not None}
            graph.add_node(name(turn), **told)
            for earlier in turn["heard"] or ():
                if earlier in names:
                    graph.add_edge(names[earlier], name(turn), differed=False, adopted=False)
        for one in meetings(episode):
            edge = graph.edges[name(one.speaker), name(one.listener)]
            edge.update(differed=True, adopted=one.adopted)
    return graph


def _add(graph: nx.DiGraph[str], speaker: str, listener: str, counts: Mapping[str, int]) -> None:
    if not graph.has_edge(speaker, listener):
        graph.add_edge(speaker, listener, **dict.fromkeys(COUNTS, 0))
    seen = graph.edges[speaker, listener]
    for name, number in counts.items():
        seen[name] += number
