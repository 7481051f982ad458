"""Pairs that each judge sees in one order alone."""

from dataclasses import replace

import pytest
from judged_talk import JUDGE, PEOPLE, POLICIES, better, panel, shown, sure

from moot.agents.population import Agent, Population
from moot.agents.types import Completion
from moot.experiments.analysis.claims import claims
from moot.experiments.analysis.rulings import Reply, Ruling
from moot.protocols.conformance import TASK, rehearse
from moot.protocols.judged import Judged
from moot.protocols.judging.pairwise import Pairwise
from moot.protocols.types import Episode, Say

ONCE = Judged(judging=Pairwise(both_orders=False))


def played(task: str, reply_of: Completion | None = None, people: Population = PEOPLE) -> Episode:
    def reply(turn: int, say: Say) -> str | Completion:
        return (reply_of or better(say)) if say.choices else ["41", "42", "43"][turn]

    return rehearse(ONCE, people, reply, replace(TASK, id=task))


def test_each_judge_sees_each_pair_once_in_an_order_that_is_drawn() -> None:
    two = Population((*POLICIES, JUDGE, Agent("k", "judge", "main")))
    orders: list[tuple[tuple[str, ...], ...]] = []
    for i in range(40):
        turns = played(f"t{i}", people=two).turns[3:]
        asked = [shown(Say(t.agent, t.prompt[-1].content)) for t in turns]
        assert len(turns) == 6
        assert {frozenset(one) for one in asked} == {
            frozenset(pair) for pair in (("41", "42"), ("41", "43"), ("42", "43"))
        }
        orders.append(tuple(tuple(one) for one in asked))
    higher = [one[0] > one[1] for asked in orders for one in asked]
    assert 0.35 < sum(higher) / len(higher) < 0.65
    unlike = [asked[i] != asked[i + 1] for asked in orders for i in (0, 2, 4)]
    assert 0.35 < sum(unlike) / len(unlike) < 0.65  # judges draw apart
    assert played("t0", people=two).turns == played("t0", people=two).turns


def test_what_is_found_is_of_the_pair_whatever_its_order() -> None:
    for i in range(8):
        assert panel(played(f"t{i}"), "preference") == {
            (0, 1): pytest.approx(2 / 11),
            (0, 2): pytest.approx(2 / 7),
            (1, 2): pytest.approx(9 / 14),
        }


def test_a_taste_for_the_first_place_cancels_out_over_many() -> None:
    found = [panel(played(f"t{i}", sure(1.0, 0.0)), "preference")[0, 1] for i in range(100)]

    assert 0.35 < sum(p or 0.0 for p in found) / len(found) < 0.65


def test_half_the_calls() -> None:
    assert Pairwise(both_orders=False).calls(3) == Pairwise().calls(3) / 2


def ruling(of: int, over: int, score: float | None, judge: str = "j") -> Ruling:
    replies = [Reply(turn, f"p{turn}", turn == 1, 2) for turn in range(2)]
    return Ruling("e", judge, "preference", None, replies[of], replies[over], score)


def test_a_claim_is_made_of_the_one_order_that_was_asked_about() -> None:
    found = claims([ruling(1, 0, 0.75), ruling(0, 1, 0.25, "k")])

    for [claim] in found.values():
        assert claim.about == ("e", 0, 1)
        assert (claim.of.turn, claim.score, claim.right) == (0, 0.25, False)
        assert claim.swapped is None


def test_where_one_of_two_orders_cant_be_read_there_is_no_claim() -> None:
    assert claims([ruling(0, 1, 0.25), ruling(1, 0, None)]) == {"j": []}
    assert claims([ruling(0, 1, None)]) == {"j": []}
