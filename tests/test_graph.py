"""Who heard whom: graphs say what the turns say."""

from hearing import star, talked, turn

from moot.experiments.analysis.graph import by_agent, by_group, by_turn
from moot.experiments.report.drawing import drawn


def test_an_edge_goes_from_who_spoke_to_who_heard_and_counts() -> None:
    graph = by_agent(
        [turn(0, "ann"), turn(1, "bob", (0,)), turn(2, "ann", (1,)), turn(3, "bob", (0, 2))]
    )

    assert list(graph.edges(data="times")) == [("ann", "bob", 3), ("bob", "ann", 1)]
    assert graph.nodes["ann"] == {"group": "ann", "role": "policy", "turns": 2}


def test_turns_are_numbered_within_their_episode() -> None:
    graph = by_agent(
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

    assert list(by_agent([first, second, third]).edges) == [("a1", "bob")]
    assert not by_agent([first, third]).edges


def test_who_hears_itself_has_a_loop() -> None:
    graph = by_agent([turn(0, "ann"), turn(1, "ann", (0,))])

    assert list(graph.edges(data="times")) == [("ann", "ann", 1)]
    assert "nan" not in drawn(graph).edges[0].path


def test_nobody_hears_anybody_where_nothing_is_heard() -> None:
    graph = by_agent([turn(0, "ann"), {**turn(1, "bob"), "heard": None}])

    assert list(graph.nodes) == ["ann", "bob"]
    assert not graph.edges


def test_groups_add_up_their_members() -> None:
    groups = by_group(by_agent(star(5)))

    assert groups.nodes["solver"] == {"role": "policy", "turns": 5, "members": 5}
    assert list(groups.edges(data="times")) == [("solver", "anchor", 5)]
    twice = by_group(by_agent([turn(0, "solver-0"), turn(1, "solver-1"), turn(2, "solver-0")]))
    assert twice.nodes["solver"] == {"role": "policy", "turns": 3, "members": 2}


def test_what_was_adopted_is_counted_with_what_it_did() -> None:
    swapped = talked(["4", "5"], ["5", "4"], {0: (1,), 1: (0,)})
    graph = by_agent([*swapped, *talked(["4", "5"], ["4", "4"], {0: (1,), 1: (0,)}, "f")])

    told = {"times": 2, "differed": 2}
    assert graph.edges["ann", "bob"] == {**told, "adopted": 2, "corrected": 2, "corrupted": 0}
    assert graph.edges["bob", "ann"] == {**told, "adopted": 1, "corrected": 0, "corrupted": 1}


def test_turns_are_named_as_they_are_changed_by_and_say_what_is_known() -> None:
    graph = by_turn(talked(["4", None], ["4", "4"], {1: (0,)}, "cycle-000/t"))

    assert [*graph.edges(data=True)] == [
        ("cycle-000/t:0", "cycle-000/t:3", {"differed": False, "adopted": False})
    ]
    assert graph.nodes["cycle-000/t:0"]["correct"] is True
    assert "answer" not in graph.nodes["cycle-000/t:1"]
    moved = by_turn(talked(["4", "5"], ["4", "4"], {1: (0,)}))
    assert moved.edges["e:0", "e:3"] == {"differed": True, "adopted": True}
    stayed = by_turn(talked(["4", "5"], ["4", "5"], {1: (0,)}))
    assert stayed.edges["e:0", "e:3"] == {"differed": True, "adopted": False}
    assert (stayed.nodes["e:0"]["turn"], stayed.nodes["e:1"]["correct"]) == (0, False)
