"""Who heard whom: the graph says what the turns say, and its drawing repeats."""

from collections.abc import Mapping
from typing import Any

from moot.experiments.report.drawing import HEIGHT, MANY, WIDTH, drawn
from moot.experiments.report.graph import by_group, hearing


def turn(
    n: int, agent: str, heard: tuple[int, ...] = (), role: str = "policy", episode: str = "e"
) -> Mapping[str, Any]:
    named = {"agent": agent, "group": agent.partition("-")[0], "role": role}
    return {"episode": episode, "turn": n, **named, "heard": list(heard)}


def star(n: int) -> list[Mapping[str, Any]]:
    """Return n solvers that an anchor hears."""
    solvers = [turn(i, f"solver-{i}") for i in range(n)]
    return [*solvers, turn(n, "anchor", tuple(range(n)), "critic")]


def test_an_edge_goes_from_who_spoke_to_who_heard_and_counts() -> None:
    graph = hearing(
        [turn(0, "ann"), turn(1, "bob", (0,)), turn(2, "ann", (1,)), turn(3, "bob", (0, 2))]
    )

    assert list(graph.edges(data="times")) == [("ann", "bob", 3), ("bob", "ann", 1)]
    assert graph.nodes["ann"] == {"group": "ann", "role": "policy", "turns": 2}


def test_turns_are_numbered_within_their_episode() -> None:
    graph = hearing(
        [
            turn(0, "ann"),
            turn(1, "bob", (0,)),
            turn(0, "cat", episode="f"),
            turn(1, "bob", (0,), episode="f"),
        ]
    )

    assert list(graph.edges(data="times")) == [("ann", "bob", 1), ("cat", "bob", 1)]


def test_the_same_episode_of_two_cycles_is_two() -> None:
    first, second = ({**t, "cycle": cycle} for cycle in (0, 1) for t in [turn(0, f"a{cycle}")])
    third = {**turn(1, "bob", (0,)), "cycle": 1}

    assert list(hearing([first, second, third]).edges) == [("a1", "bob")]


def test_who_hears_itself_has_a_loop() -> None:
    graph = hearing([turn(0, "ann"), turn(1, "ann", (0,))])

    assert list(graph.edges(data="times")) == [("ann", "ann", 1)]
    assert "nan" not in drawn(graph).edges[0].path


def test_nobody_hears_anybody_where_nothing_is_heard() -> None:
    graph = hearing([turn(0, "ann"), {**turn(1, "bob"), "heard": None}])

    assert list(graph.nodes) == ["ann", "bob"]
    assert not graph.edges


def test_groups_add_up_their_members() -> None:
    groups = by_group(hearing(star(5)))

    assert groups.nodes["solver"] == {"role": "policy", "turns": 5, "members": 5}
    assert list(groups.edges(data="times")) == [("solver", "anchor", 5)]


def test_the_same_turns_give_the_same_drawing() -> None:
    assert drawn(hearing(star(9))) == drawn(hearing(star(9)))


def test_everybody_is_on_the_page_and_apart() -> None:
    nodes = drawn(hearing(star(12))).nodes

    for i, one in enumerate(nodes):
        assert one.radius < one.x < WIDTH - one.radius
        assert one.radius < one.y < HEIGHT - one.radius
        for other in nodes[:i]:
            assert (one.x - other.x) ** 2 + (one.y - other.y) ** 2 > one.radius**2


def test_who_is_heard_more_has_thicker_arrows() -> None:
    graph = hearing([turn(0, "ann"), turn(1, "cat"), turn(2, "bob", (0, 1)), turn(3, "bob", (0,))])
    width = {edge.speaker: edge.width for edge in drawn(graph).edges}

    assert width["ann"] > width["cat"]


def test_many_are_drawn_by_group() -> None:
    drawing = drawn(hearing(star(MANY + 5)))

    assert drawing.groups
    assert [(node.name, node.members) for node in drawing.nodes] == [
        ("solver", MANY + 5),
        ("anchor", 1),
    ]


def test_nobody_and_one_alone_can_be_drawn() -> None:
    assert drawn(hearing([])).nodes == ()
    assert [(n.x, n.y) for n in drawn(hearing([turn(0, "ann")])).nodes] == [(WIDTH / 2, HEIGHT / 2)]
