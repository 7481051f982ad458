"""Topologies: who hears whom, and what can't be drawn."""

from pathlib import Path
from random import Random
from typing import Any

import networkx as nx
import pytest
from pydantic import TypeAdapter, ValidationError

from moot.agents.errors import MootError
from moot.protocols.topology import (
    Chain,
    Chance,
    Edge,
    Full,
    Layered,
    Regular,
    Ring,
    SmallWorld,
    Star,
    Topology,
    Written,
)

READ: TypeAdapter[Any] = TypeAdapter(Topology)


def names(n: int) -> list[str]:
    return [f"a{i}" for i in range(n)]


def heard(topology: Any, n: int, seed: int = 0) -> dict[int, list[int]]:
    """Return whom each agent hears."""
    found: dict[int, list[int]] = {i: [] for i in range(n)}
    for edge in topology.drawn(names(n), Random(seed)):
        found[edge.listener].append(edge.speaker)
    return found


@pytest.mark.parametrize(
    ("topology", "expected"),
    [
        (Full(), {0: [1, 2, 3], 1: [0, 2, 3], 2: [0, 1, 3], 3: [0, 1, 2]}),
        (Ring(), {0: [1, 3], 1: [0, 2], 2: [1, 3], 3: [0, 2]}),
        (Star(), {0: [1, 2, 3], 1: [0], 2: [0], 3: [0]}),
        (Star(hub="a2"), {0: [2], 1: [2], 2: [0, 1, 3], 3: [2]}),
        (Chain(), {0: [], 1: [0], 2: [1], 3: [2]}),
        (Layered(widths=(2, 1, 1)), {0: [], 1: [], 2: [0, 1], 3: [2]}),
        (Chance(p=0), {0: [], 1: [], 2: [], 3: []}),
        (Chance(p=1), {0: [1, 2, 3], 1: [0, 2, 3], 2: [0, 1, 3], 3: [0, 1, 2]}),
    ],
    ids=str,
)
def test_who_hears_whom(topology: Any, expected: dict[int, list[int]]) -> None:
    assert heard(topology, 4) == expected


@pytest.mark.parametrize("topology", [Full(), Ring(), Star(), Chain(), Chance(p=0.5)], ids=str)
@pytest.mark.parametrize("n", [1, 2])
def test_few_agents_hear_whom_there_is_and_never_themselves(topology: Any, n: int) -> None:
    for listener, speakers in heard(topology, n).items():
        assert listener not in speakers
        assert len(speakers) == len(set(speakers)) <= n - 1


def test_random_graphs_follow_from_the_draw_and_are_what_they_say() -> None:
    regular, small = Regular(degree=4), SmallWorld(degree=4, rewire=0.3)

    for topology in (regular, small, Chance(p=0.3), Regular(degree=15)):
        assert heard(topology, 20, 1) == heard(topology, 20, 1)
        assert heard(topology, 20, 1) != heard(topology, 20, 2)
        assert all(one == sorted(one) for one in heard(topology, 20).values())
    assert {len(speakers) for speakers in heard(regular, 20).values()} == {4}
    assert sum(len(speakers) for speakers in heard(small, 20).values()) == 80
    for n, dense in ((50, 48), (50, 49), (100, 90)):
        assert {len(speakers) for speakers in heard(Regular(degree=dense), n).values()} == {dense}
    assert heard(SmallWorld(degree=2, rewire=0), 5)[0] == [1, 4]
    assert heard(SmallWorld(degree=4), 20) != heard(SmallWorld(degree=4, rewire=0), 20)
    far = [2 < (i - j) % 400 < 398 for i, some in heard(small, 400).items() for j in some]
    assert abs(sum(far) / 1600 - 0.3) < 4 * (0.3 * 0.7 / 800) ** 0.5
    many = sum(len(speakers) for speakers in heard(Chance(p=0.3), 60).values())
    assert abs(many / (60 * 59) - 0.3) < 4 * (0.3 * 0.7 / (60 * 59)) ** 0.5


def test_edges_are_written_by_name_with_what_is_seen() -> None:
    edges = (
        {"speaker": "a1", "listener": "a0", "sees": "answer"},
        {"speaker": "a0", "listener": "a2"},
    )

    drawn = READ.validate_python({"kind": "edges", "edges": edges}).drawn(names(3), Random(0))

    assert drawn == [Edge(0, 1, "answer"), Edge(2, 0, None)]


@pytest.mark.parametrize("directed", [True, False])
def test_a_graphml_file_is_read_where_the_experiment_lies(tmp_path: Path, directed: bool) -> None:
    graph = nx.DiGraph() if directed else nx.Graph()
    graph.add_edge("a0", "a1", sees="summary")
    graph.add_edge("a1", "a2")
    nx.write_graphml(graph, tmp_path / "net.graphml")

    found = READ.validate_python(
        {"kind": "edges", "edges": {"file": "net.graphml"}}, context=tmp_path
    )

    ways = [Edge(1, 0, "summary"), Edge(2, 1)]
    back = [] if directed else [Edge(0, 1, "summary"), Edge(1, 2)]
    assert found.drawn(names(3), Random(0)) == sorted([*ways, *back], key=lambda e: e.listener)
    assert isinstance(found, Written)  # the file itself is not needed again


@pytest.mark.parametrize(
    ("text", "why"),
    [("no xml", "not GraphML"), ("<graphml/>", "not GraphML"), (None, "No such file")],
)
def test_a_file_that_is_no_graph_is_told(tmp_path: Path, text: str | None, why: str) -> None:
    if text is not None:
        (tmp_path / "net.graphml").write_text(text)

    with pytest.raises(ValidationError, match=why):
        READ.validate_python({"kind": "edges", "edges": {"file": "net.graphml"}}, context=tmp_path)


def written(*pairs: tuple[str, str]) -> Any:
    edges = tuple({"speaker": a, "listener": b} for a, b in pairs)
    return READ.validate_python({"kind": "edges", "edges": edges})


@pytest.mark.parametrize(
    ("topology", "why"),
    [
        (Regular(degree=3), "5 agents can't hear 3 others each"),
        (Regular(degree=5), "5 agents can't hear 5 others each"),
        (SmallWorld(degree=3), "degree must be even"),
        (SmallWorld(degree=6), "below the number of agents, which is 5"),
        (Star(hub="a11"), "no policy is called 'a11'; did you mean 'a1'?"),
        (Layered(widths=(2, 2)), "widths add up to 4, and there are 5 policies"),
        (written(("a1", "a1")), "'a1' can't be told to hear itself"),
        (written(("a1", "a2"), ("a1", "a2")), "'a2' hears 'a1' twice over"),
        (written(("a1", "x9")), "no policy is called 'x9'"),
    ],
    ids=str,
)
def test_what_cannot_be_drawn_is_told(topology: Any, why: str) -> None:
    with pytest.raises(MootError) as error:
        topology.drawn(names(5), Random(0))

    assert why in str(error.value)


@pytest.mark.parametrize("topology", [Regular(degree=4), SmallWorld(degree=4)], ids=str)
def test_nobody_hears_as_many_others_as_there_are_agents(topology: Any) -> None:
    with pytest.raises(MootError, match=r"degree must be .*below"):
        topology.drawn(names(4), Random(0))
