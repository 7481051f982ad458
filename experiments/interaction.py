"""Interaction: who heard whom, as the turns' `heard` has it, and whose answers were adopted.

A policy that had answered, hears an unlike answer and says the same when it speaks again has
adopted it.  It might have come to it by itself: so answers that it didn't hear are the control.
Where several whom it heard had said the same, each has been adopted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import networkx as nx
import numpy as np

from .stats import Interval, resampled_all

Row = Mapping[str, Any]
"""A turn, as a row of turns.parquet."""
TOLD = ("cycle", "episode", "task", "turn", "round", "agent", "group", "role", "answer", "correct")
"""What the graph says of a turn."""
COLUMNS = (*TOLD, "heard")
"""What is looked at of a turn."""
COUNTS = ("times", "differed", "adopted", "corrected", "corrupted")
"""What is counted of who spoke and who heard it: turns heard; answers unlike the listener's own
among them, the last of each round of listening; those it adopted; those of them that made a wrong
answer right, and a right one wrong."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """A policy with an answer hears an unlike one of another."""

    speaker: Row
    """The turn that is heard."""
    before: Row
    """The turn in which the listener had last answered."""
    listener: Row
    """The turn in which it speaks again."""

    @property
    def adopted(self) -> bool:
        """Whether it says now what it has heard."""
        return self.listener["answer"] == self.speaker["answer"]

    @property
    def corrected(self) -> bool:
        """Whether adopting it made a wrong answer right."""
        return self.adopted and self.before["correct"] is False and bool(self.listener["correct"])

    @property
    def corrupted(self) -> bool:
        """Whether adopting it made a right answer wrong."""
        return self.adopted and self.listener["correct"] is False and bool(self.before["correct"])


def episodes(turns: Iterable[Row]) -> Iterator[list[Row]]:
    """Yield the turns of each episode, in their order.

    Args:
        turns: rows of turns.parquet, each episode's together.
    """
    for _, episode in groupby(turns, key=lambda turn: (turn.get("cycle"), turn["episode"])):
        yield list(episode)


def meetings(episode: Sequence[Row]) -> Iterator[Meeting]:
    """Yield each unlike answer that a policy of the episode heard; of one's turns the last."""
    given: dict[int, Row] = {}
    last: dict[str, Row] = {}
    for turn in _policies(episode):
        if before := last.get(turn["agent"]):
            heard = {given[n]["agent"]: given[n] for n in sorted(turn["heard"] or ()) if n in given}
            for speaker, said in heard.items():
                if speaker != turn["agent"] and said["answer"] != before["answer"]:
                    yield Meeting(said, before, turn)
        if turn["answer"] is not None:
            given[turn["turn"]] = last[turn["agent"]] = turn


def missed(episode: Sequence[Row]) -> Iterator[tuple[int, int]]:
    """Yield how many unlike answers a policy that speaks again had not heard, and now gives.

    They are what those of whom it heard nothing had last answered in earlier rounds.
    """
    agents = {turn["turn"]: turn["agent"] for turn in episode}
    standing: dict[str, str] = {}
    for _, round_ in groupby(_policies(episode), key=lambda turn: turn["round"]):
        turns, counts = [*round_], Counter(standing.values())
        for turn in turns:
            if (own := standing.get(turn["agent"])) is None:
                continue
            speakers = {agents.get(n) for n in turn["heard"] or ()} | {turn["agent"]}
            heard = Counter(standing[one] for one in speakers if one in standing)
            unheard, now = len(standing) - heard.total(), turn["answer"]
            came = counts[now] - heard[now] if now not in (None, own) else 0
            yield unheard - (counts[own] - heard[own]), came
        standing |= {turn["agent"]: turn["answer"] for turn in turns if turn["answer"] is not None}


def _policies(episode: Iterable[Row]) -> Iterator[Row]:
    return (turn for turn in episode if turn["role"] == "policy")


def by_agent(turns: Iterable[Row]) -> nx.DiGraph[str]:
    """Return the graph with an edge a → b where b heard a, and what `COUNTS` says of it.

    Nodes are agents by name, with their `group`, `role` and how many `turns` they spoke.

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
            counts = {name: int(getattr(one, name)) for name in COUNTS[2:]}
            _add(graph, one.speaker["agent"], one.listener["agent"], {"differed": 1, **counts})
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


def adoption(turns: Iterable[Row], seed: int) -> dict[str, Interval]:
    """Return which share of the unlike answers that policies met they adopted, tasks being drawn.

    Args:
        turns: rows of turns.parquet, each episode's together.
        seed: of the bootstrap.

    Returns:
        `heard` and `unheard`, and `over`, the one less the other; what can't be told is left out.
    """
    tallies: dict[str, list[tuple[int, int, int, int]]] = {}
    for episode in episodes(turns):
        adopted = [one.adopted for one in meetings(episode)]
        came = [*zip(*missed(episode), strict=True)] or [(), ()]
        counted = len(adopted), sum(adopted), sum(came[0]), sum(came[1])
        tallies.setdefault(episode[0]["task"], []).append(counted)
    table = np.array([np.sum(some, 0) for some in tallies.values()])

    def shares(drawn: Sequence[int]) -> dict[str, float]:
        heard, adopted, unheard, came = table[list(drawn)].sum(0).tolist()
        found = {"heard": adopted / heard} if heard else {}
        if unheard:
            found["unheard"] = came / unheard
        if len(found) == 2:
            found["over"] = found["heard"] - found["unheard"]
        return found

    return resampled_all(range(len(table)), shares, seed) if tallies else {}


def _add(graph: nx.DiGraph[str], speaker: str, listener: str, counts: Mapping[str, int]) -> None:
    if not graph.has_edge(speaker, listener):
        graph.add_edge(speaker, listener, **dict.fromkeys(COUNTS, 0))
    seen = graph.edges[speaker, listener]
    for name, number in counts.items():
        seen[name] += number
