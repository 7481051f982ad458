"""Who adopted what they heard, and gave what they missed."""

from pathlib import Path
from typing import Any

import pytest
from handmade import write_episodes
from hearing import talked, turn
from scipy.stats import binomtest
from test_simulated import play

from moot.agents.simulated import Simulated
from moot.experiments.analysis.graph import COLUMNS, by_agent
from moot.experiments.analysis.interaction import adoption, meetings, missed
from moot.experiments.report.readings import rows
from moot.protocols.debate import Debate
from moot.protocols.topology import Link, Written
from moot.protocols.types import Protocol


def test_nothing_is_adopted_by_who_agreed_had_not_answered_or_is_no_policy() -> None:
    agreed = talked(["4", "4"], ["4", "4"], {0: (1,), 1: (0,)})
    unheard_of = talked([None, "5"], ["5", "5"], {0: (1,), 1: (0,)})
    judge = [turn(0, "ann", answer="4"), turn(1, "judge", role="judge", answer="5")]
    judge += [turn(2, "judge", (0,), "judge", answer="4", round_=1)]

    assert [*meetings(agreed)] == [*meetings(unheard_of)] == [*meetings(judge)] == []


def test_an_answer_that_cannot_be_read_adopts_nothing() -> None:
    [one] = meetings(talked(["5", "4"], ["5", None], {1: (0,)}))

    assert (one.adopted, one.corrupted) == (False, False)


def test_who_comes_to_another_answer_than_it_heard_is_neither_corrected_nor_corrupted() -> None:
    [wrong] = meetings(talked(["5", "6"], ["4", "6"], {0: (1,)}))
    [right] = meetings(talked(["4", "6"], ["5", "6"], {0: (1,)}))

    assert (wrong.adopted, wrong.corrected) == (False, False)
    assert (right.adopted, right.corrupted) == (False, False)


def test_what_is_missed_was_said_in_earlier_rounds_by_who_was_not_heard_at_all() -> None:
    talk = talked(["4", "5", "6"], ["4", "6", "6"], {1: (0,)})

    # Ann missed 5 and 6; Bob 6, which he gives now; Cat 4 and 5, and not what Bob says now.
    assert missed(talk) == (2 + 1 + 2, 1)
    assert missed(talked(["4", None, "4"], ["5", "5", None], {})) == (0, 0)


def test_what_was_heard_in_an_earlier_round_is_not_missed() -> None:
    #  All hear all of the last round; ann can't be read in the second, and her 1 stands still.
    all_ = dict.fromkeys(range(3), (0, 1, 2))
    talk = talked(["1", "2", "3"], [None, "2", "3"], all_)
    last = [
        turn(6 + i, name, (4, 5), answer=said, round_=2)
        for i, (name, said) in enumerate((("ann", "1"), ("bob", "1"), ("cat", "3")))
    ]

    assert missed([*talk, *last]) == (0, 0)


def test_what_a_critic_tells_of_others_is_neither_heard_from_them_nor_missed() -> None:
    first = talked(["4", "5"], [], {})
    critic = turn(2, "critic", (0, 1), "critic", round_=1)
    again = [turn(3, "ann", (2,), answer="5", round_=2), turn(4, "bob", (), answer="5", round_=2)]

    assert [*meetings([*first, critic, *again])] == []
    assert missed([*first, critic, *again]) == (1, 0)  # what Bob missed of Ann


def test_what_a_policy_had_heard_is_not_heard_from_it() -> None:
    said = talked(["4", "5", "6"], [], {})
    said += [turn(3, "bob", (2,), answer="5", round_=1), turn(4, "ann", (3,), answer="6", round_=2)]

    assert missed(said) == (2, 1)  # Bob missed Ann's 4; Ann misses Cat's 6, and gives it


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


def test_what_was_heard_is_set_beside_what_was_not() -> None:
    met = [talked(["4", "5", "6"], ["4", "4", "6"], {1: (0,)}, f"{i}/") for i in range(12)]
    kept = [talked(["4", "5", "6"], ["4", "6", "6"], {1: (0,)}, f"{i}/") for i in range(12, 16)]

    found = adoption([one for episode in [*met, *kept] for one in episode], 0)

    assert found["heard"].value == 12 / 16
    assert found["missed"].value == 4 / (16 * 5)  # bob of cat's, ann and cat of the other two
    assert found["over"].value == found["heard"].value - found["missed"].value
    assert found["heard"].low < 0.75 < found["heard"].high < 1
    assert found != adoption([one for episode in [*met, *kept] for one in episode], 1)


def test_where_all_hear_all_there_is_nothing_to_set_it_beside() -> None:
    found = adoption(talked(["4", "5"], ["5", "5"], {0: (1,), 1: (0,)}), 0)

    assert {name: one.value for name, one in found.items()} == {"heard": 0.5}
    assert adoption([], 0) == {}


def test_nothing_adopted_in_these_tasks_may_be_something_in_others() -> None:
    none = [talked(["4", "5", "6"], ["4", "5", "6"], {1: (0,)}, f"{i}/") for i in range(8)]
    all_ = [talked(["4", "5", "6"], ["4", "4", "6"], {1: (0,)}, f"{i}/") for i in range(8)]
    least, most = binomtest(8, 8).proportion_ci(), binomtest(0, 8).proportion_ci()

    found = adoption([one for episode in none for one in episode], 0)
    assert found["heard"] == found["missed"] == pytest.approx((0, 0, most.high))
    assert found["over"] == pytest.approx((0, -most.high, most.high))
    found = adoption([one for episode in all_ for one in episode], 0)
    assert found["heard"] == pytest.approx((1, least.low, 1))
    assert found["over"] == pytest.approx((1, least.low - most.high, 1))


def test_of_few_tasks_no_difference_is_claimed() -> None:
    few = [talked(["4", "5", "6"], ["4", "4", "6"], {1: (0,)}, f"{i}/") for i in range(7)]

    again = [talked(["4", "5", "6"], ["4", "4", "6"], {1: (0,)}, f"{i % 7}/{i}") for i in range(14)]

    for told in (few, again):
        found = adoption([one for episode in told for one in episode], 0)
        assert {*found} == {"heard", "missed"}


def test_tasks_in_which_all_agree_are_none_of_those_that_tell() -> None:
    agreed = [talked(["4", "4", "4"], ["4", "4", "4"], {1: (0,)}, f"{i}/") for i in range(90)]
    missing = [talked(["4", "4", "6"], ["4", "4", "6"], {1: (0,)}, f"{i}/") for i in range(90, 98)]
    told = [talked(["4", "5", "6"], ["4", "4", "6"], {1: (0,)}, f"{i}/") for i in range(98, 106)]

    few = adoption([one for episode in [*agreed, *missing, *told[:7]] for one in episode], 0)
    assert {*few} == {"heard", "missed"}
    hearing = [talked(["4", "5"], ["4", "5"], {0: (1,), 1: (0,)}, f"{i}/") for i in range(90, 98)]
    few = adoption([one for episode in [*agreed, *hearing, *told[:7]] for one in episode], 0)
    assert {*few} == {"heard", "missed"}
    assert "over" in adoption([one for episode in [*agreed, *told] for one in episode], 0)


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
