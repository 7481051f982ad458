"""Who heard whom and adopted what: graphs say what the turns say, and their drawing repeats."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from test_simulated import play

from moot.agents.simulated import Simulated
from moot.experiments.graph import COLUMNS, by_agent, by_group, by_turn
from moot.experiments.interaction import adoption, meetings, missed
from moot.experiments.report.drawing import HEIGHT, MANY, WIDTH, drawn
from moot.experiments.report.readings import rows
from moot.experiments.store import write_episodes
from moot.protocols.debate import Debate
from moot.protocols.topology import Link, Written
from moot.protocols.types import Protocol

RIGHT = "4"


def turn(
    n: int,
    agent: str,
    heard: tuple[int, ...] = (),
    role: str = "policy",
    episode: str = "e",
    answer: str | None = None,
    round_: int = 0,
) -> Mapping[str, Any]:
    correct = None if answer is None else answer == RIGHT
    named = {"agent": agent, "group": agent.partition("-")[0], "role": role}
    when = {"cycle": 0, "episode": episode, "task": episode.partition("/")[0], "round": round_}
    return {**when, "turn": n, **named, "heard": [*heard], "answer": answer, "correct": correct}


def talked(
    first: Sequence[str | None],
    then: Sequence[str | None],
    heard: Mapping[int, tuple[int, ...]],
    episode: str = "e",
) -> list[Mapping[str, Any]]:
    """Return two rounds of an episode; in the second, agent i has heard those of `heard`."""
    names = ("ann", "bob", "cat")
    alone = [
        turn(i, name, episode=episode, answer=answer)
        for i, (name, answer) in enumerate(zip(names, first, strict=False))
    ]
    return alone + [
        turn(len(first) + i, name, heard.get(i, ()), episode=episode, answer=answer, round_=1)
        for i, (name, answer) in enumerate(zip(names, then, strict=False))
    ]


def star(n: int) -> list[Mapping[str, Any]]:
    """Return n solvers that an anchor hears."""
    solvers = [turn(i, f"solver-{i}") for i in range(n)]
    return [*solvers, turn(n, "anchor", tuple(range(n)), "critic")]


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


def test_what_was_adopted_is_counted_with_what_it_did() -> None:
    swapped = talked(["4", "5"], ["5", "4"], {0: (1,), 1: (0,)})
    graph = by_agent([*swapped, *talked(["4", "5"], ["4", "4"], {0: (1,), 1: (0,)}, "f")])

    told = {"times": 2, "differed": 2}
    assert graph.edges["ann", "bob"] == {**told, "adopted": 2, "corrected": 2, "corrupted": 0}
    assert graph.edges["bob", "ann"] == {**told, "adopted": 1, "corrected": 0, "corrupted": 1}


def test_nothing_is_adopted_by_who_agreed_had_not_answered_or_is_no_policy() -> None:
    agreed = talked(["4", "4"], ["4", "4"], {0: (1,), 1: (0,)})
    unheard_of = talked([None, "5"], ["5", "5"], {0: (1,), 1: (0,)})
    judge = [turn(0, "ann", answer="4"), turn(1, "judge", role="judge", answer="5")]
    judge += [turn(2, "judge", (0,), "judge", answer="4", round_=1)]

    assert [*meetings(agreed)] == [*meetings(unheard_of)] == [*meetings(judge)] == []


def test_an_answer_that_cannot_be_read_adopts_nothing() -> None:
    [one] = meetings(talked(["5", "4"], ["5", None], {1: (0,)}))

    assert (one.adopted, one.corrupted) == (False, False)


def test_what_is_missed_was_said_in_earlier_rounds_by_who_was_not_heard_at_all() -> None:
    talk = talked(["4", "5", "6"], ["4", "6", "6"], {1: (0,)})

    # Ann missed 5 and 6; Bob 6, which he gives now; Cat 4 and 5, and not what Bob says now.
    assert missed(talk) == (2 + 1 + 2, 1)
    assert missed(talked(["4", None, "4"], ["5", "5", None], {})) == (0, 0)


def test_what_a_critic_tells_of_others_is_neither_heard_from_them_nor_missed() -> None:
    first = talked(["4", "5"], [], {})
    critic = turn(2, "critic", (0, 1), "critic", round_=1)
    again = [turn(3, "ann", (2,), answer="5", round_=2), turn(4, "bob", (), answer="5", round_=2)]

    assert [*meetings([*first, critic, *again])] == []
    assert missed([*first, critic, *again]) == (1, 0)  # what Bob missed of Ann


def test_an_answer_that_no_longer_stands_is_not_met_again() -> None:
    said = talked(["4", "5"], ["4", "6"], {0: (1,)})
    said += [
        turn(4, "ann", (1, 3), answer="6", round_=2),
        turn(5, "ann", (1,), "policy", "e", "5", 3),
    ]

    assert [(m.speaker["turn"], m.listener["turn"]) for m in meetings(said)] == [(1, 2), (3, 4)]
    assert missed(said) == (1, 0)  # Bob's first time: what he had heard later is not missed


def test_of_what_was_heard_of_one_the_last_counts() -> None:
    said = [turn(0, "ann", answer="1"), turn(1, "bob", answer="2")]
    said += [turn(2, "ann", answer="3", round_=1), turn(3, "bob", (0, 2), answer="3", round_=2)]

    [one] = meetings(said)
    assert (one.speaker["turn"], one.adopted) == (2, True)
    assert by_agent(said).edges["ann", "bob"]["times"] == 2


def test_turns_are_named_as_they_are_changed_by_and_say_what_is_known() -> None:
    graph = by_turn(talked(["4", None], ["4", "4"], {1: (0,)}, "cycle-000/t"))

    assert [*graph.edges(data=True)] == [
        ("cycle-000/t:0", "cycle-000/t:3", {"differed": False, "adopted": False})
    ]
    assert graph.nodes["cycle-000/t:0"]["correct"] is True
    assert "answer" not in graph.nodes["cycle-000/t:1"]
    moved = by_turn(talked(["4", "5"], ["4", "4"], {1: (0,)}))
    assert moved.edges["e:0", "e:3"] == {"differed": True, "adopted": True}


def test_what_was_heard_is_set_beside_what_was_not() -> None:
    met = [talked(["4", "5", "6"], ["4", "4", "6"], {1: (0,)}, f"{i}/") for i in range(12)]
    kept = [talked(["4", "5", "6"], ["4", "6", "6"], {1: (0,)}, f"{i}/") for i in range(12, 16)]

    found = adoption([one for episode in [*met, *kept] for one in episode], 0)

    assert found["heard"].value == 12 / 16
    assert found["missed"].value == 4 / (16 * 5)  # bob of cat's, ann and cat of the other two
    assert found["over"].value == found["heard"].value - found["missed"].value
    assert found["heard"].low < 0.75 < found["heard"].high < 1


def test_where_all_hear_all_there_is_nothing_to_set_it_beside() -> None:
    found = adoption(talked(["4", "5"], ["5", "5"], {0: (1,), 1: (0,)}), 0)

    assert {name: one.value for name, one in found.items()} == {"heard": 0.5}
    assert adoption([], 0) == {}


def test_of_few_tasks_no_difference_is_claimed() -> None:
    few = [talked(["4", "5", "6"], ["4", "4", "6"], {1: (0,)}, f"{i}/") for i in range(7)]

    assert {*adoption([one for episode in few for one in episode], 0)} == {"heard", "missed"}


def adopted(folder: Path, protocol: Protocol, agents: list[Simulated], n: int) -> dict[str, Any]:
    """Return what simulated agents adopt in `n` episodes, from the files that these leave."""
    write_episodes(folder, 0, play(protocol, n, agents))
    return adoption(rows(folder / "turns.parquet", COLUMNS), 0)


def test_voters_adopt_as_often_as_they_must_and_the_stubborn_nothing(tmp_path: Path) -> None:
    # Of two answers, its own and the one it hears, a voter takes either; the third agent's, which
    # it doesn't hear, is the heard one half of the times: two options, drawn evenly.
    links = [Link(speaker=a, listener=b) for a, b in (("a1", "a0"), ("a0", "a1"), ("a0", "a2"))]
    hears = Debate(rounds=2, topology=Written(edges=tuple(links)))
    voters = adopted(tmp_path / "voters", hears, [Simulated(competence=0.5)] * 3, 3000)

    assert voters["heard"].low < 0.5 < voters["heard"].high
    assert voters["missed"].low < 0.25 < voters["missed"].high
    assert voters["over"].low < 0.25 < voters["over"].high

    firm = [Simulated(competence=0.5, stubbornness=1)] * 3
    assert adopted(tmp_path / "firm", hears, firm, 100)["heard"].value == 0


def test_the_same_turns_give_the_same_drawing() -> None:
    assert drawn(by_agent(star(9))) == drawn(by_agent(star(9)))


def test_everybody_is_on_the_page_and_apart() -> None:
    nodes = drawn(by_agent(star(12))).nodes

    for i, one in enumerate(nodes):
        assert one.radius < one.x < WIDTH - one.radius
        assert one.radius < one.y < HEIGHT - one.radius
        for other in nodes[:i]:
            assert (one.x - other.x) ** 2 + (one.y - other.y) ** 2 > one.radius**2


def test_who_is_heard_more_has_thicker_arrows() -> None:
    graph = by_agent([turn(0, "ann"), turn(1, "cat"), turn(2, "bob", (0, 1)), turn(3, "bob", (0,))])
    width = {edge.speaker: edge.width for edge in drawn(graph).edges}

    assert width["ann"] > width["cat"]


def test_many_are_drawn_by_group() -> None:
    drawing = drawn(by_agent(star(MANY + 5)))

    assert drawing.groups
    assert [(node.name, node.members) for node in drawing.nodes] == [
        ("solver", MANY + 5),
        ("anchor", 1),
    ]


def test_nobody_and_one_alone_can_be_drawn() -> None:
    assert drawn(by_agent([])).nodes == ()
    assert [(n.x, n.y) for n in drawn(by_agent([turn(0, "ann")])).nodes] == [
        (WIDTH / 2, HEIGHT / 2)
    ]
