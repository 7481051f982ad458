"""What a vote teaches: who is preferred to whom, and which turns are examples of what."""

from dataclasses import replace

import pytest

from moot.agents.population import Agent, Population
from moot.protocols.conformance import TASK, rehearse
from moot.protocols.consensus import Consensus
from moot.protocols.debate import Debate
from moot.protocols.reflection import Reflection
from moot.protocols.topology import Chain
from moot.protocols.types import Demonstration, Episode, Preference

PEOPLE = Population(tuple(Agent(f"p{i}", "policy", "main") for i in range(4)))


def held(protocol: Consensus | Debate | Reflection, *texts: str, task: str = TASK.id) -> Episode:
    return rehearse(protocol, PEOPLE, lambda turn, say: texts[turn], replace(TASK, id=task))


def test_who_lost_a_debate_is_set_below_who_won_it() -> None:
    #  p0: 41 → 42, p1: 42 → 42, p2: 42 → 41, p3: ? → ?  The vote of the last answers: 42.
    outcome = held(Debate(), "41", "42", "42", "?", "42", "42", "41", "?").outcome

    assert outcome.answer == "42"
    # Both reply to the question as it was put to the winner, p0, in its first turn.
    assert outcome.preferences == (Preference(asked=0, chosen=4, rejected=6),)


def test_all_who_won_are_shown_in_turn_from_one_that_is_drawn() -> None:
    texts = [*"1234", "42", "41", "42", "43"]
    seen = {held(Debate(), *texts, task=f"t{i}").outcome.preferences for i in range(20)}

    assert {tuple((p.asked, p.chosen, p.rejected) for p in some) for some in seen} == {
        ((0, 4, 5), (2, 6, 7)),
        ((2, 6, 5), (0, 4, 7)),
    }


def test_what_can_t_be_read_has_lost_where_that_is_wanted() -> None:
    def lost(protocol: Consensus, *texts: str) -> list[int]:
        return [p.rejected for p in held(protocol, *texts).outcome.preferences]

    assert lost(Consensus(), "42", "?", "41", "42") == [2]
    assert lost(Consensus(unreadable="lost"), "42", "?", "41", "42") == [1, 2]
    assert lost(Consensus(unreadable="lost"), "42", "?", "?", "?") == [1, 2, 3]
    assert lost(Consensus(unreadable="lost"), "?", "?", "?", "?") == []
    assert lost(Consensus(unreadable="lost"), "42", "41", "?", "?") == []


@pytest.mark.parametrize(
    ("protocol", "texts"),
    [
        (Consensus(), ["42", "42", "41", "41"]),
        (Consensus(weigh="trust"), ["42", "42", "41", "41"]),
        (Debate(), [*"1111", "42", "41", "42", "41"]),
    ],
)
def test_a_tie_teaches_nobody_and_goes_to_an_answer_that_is_drawn(
    protocol: Consensus | Debate, texts: list[str]
) -> None:
    episodes = [held(protocol, *texts, task=f"t{i}") for i in range(30)]

    outcomes = [episode.outcome for episode in episodes]
    assert {(o.notes["tied"], o.preferences, o.demonstrations) for o in outcomes} == {(1.0, (), ())}
    assert {outcome.answer for outcome in outcomes} == {"41", "42"}  # one of them is drawn
    for episode in episodes:
        found = {v.of: v.score for v in episode.outcome.verdicts if v.kind == "match"}
        assert found == {t.index: float(t.answer == episode.outcome.answer) for t in episode.turns}


def test_the_reference_is_in_the_words_of_one_who_gave_it_and_is_drawn() -> None:
    found = {
        held(Consensus(), "so 42", "41", "it is 42", "42", task=f"t{i}").outcome.reference
        for i in range(30)
    }

    assert found == {"so 42", "it is 42", "42"}


def test_first_answers_teach_generators_and_last_ones_critics() -> None:
    outcome = held(Debate(), "41", "42", "42", "?", "42", "42", "41", "?").outcome

    assert outcome.demonstrations == (
        Demonstration(1, 1, "generator"),
        Demonstration(2, 2, "generator"),
        Demonstration(4, 4, "critic_corrected"),
        Demonstration(5, 5, "critic_kept"),
    )


def test_an_answer_that_was_kept_for_want_of_others_is_no_critics() -> None:
    #  In a chain p0 hears nobody and speaks once; its first answer is its last.
    outcome = held(Debate(topology=Chain()), "42", "42", "41", "?", "42", "42", "42").outcome

    assert [(d.said, d.name) for d in outcome.demonstrations] == [
        (0, "generator"),
        (1, "generator"),
        (4, "critic_kept"),
        (5, "critic_corrected"),
        (6, "critic_corrected"),
    ]


def test_each_of_an_agents_conversations_is_its_own() -> None:
    #  Two of each: p0 has 42 → 42 and 41 → 42, and p1 has 41 → 41 and ? → 42.  The others agree.
    first, last = ["42", "41", "41", "?"], ["42", "42", "41", "42"]
    texts = [*first, *["42"] * 4, *last, *["42"] * 4]
    outcome = held(Reflection(samples=2), *texts).outcome

    critics = {d.said: d.name for d in outcome.demonstrations if d.name != "generator"}
    assert (critics[8], critics[9]) == ("critic_kept", "critic_corrected")
    assert (10 in critics, critics[11]) == (False, "critic_corrected")
    #  p1's first conversation lost; whichever won, its own question was asked of it.
    [only] = outcome.preferences
    assert (only.asked, only.rejected) == (only.chosen - 8, 10)


def test_a_vote_without_talk_has_generators_alone() -> None:
    outcome = held(Consensus(), "42", "41", "42", "?").outcome

    assert outcome.preferences == (Preference(0, 0, 1),)
    assert [(d.said, d.name) for d in outcome.demonstrations] == [
        (0, "generator"),
        (2, "generator"),
    ]


def test_nothing_is_taught_where_nothing_won() -> None:
    outcome = held(Consensus(quorum=0.9), "42", "41", "42", "?").outcome

    assert (outcome.answer, outcome.preferences, outcome.demonstrations) == (None, (), ())
    assert held(Consensus(), "?", "?", "?", "?").outcome.demonstrations == ()
