"""Moderated debates, played by hand: who hears whom, and how the judge ends them."""

from collections import Counter
from dataclasses import replace
from itertools import permutations

import pytest

from moot.agents.errors import MootError
from moot.agents.population import Agent, Population
from moot.protocols.asking import TRIES
from moot.protocols.conformance import TASK, rehearse
from moot.protocols.moderated import Moderated
from moot.protocols.types import Episode

POLICIES = tuple(Agent(f"p{i}", "policy", "main") for i in range(3))
JUDGE = Agent("j", "judge", "main")
PEOPLE = Population((*POLICIES, JUDGE))

CONVINCED = '{"reason": "checked", "side": "negative", "answer": "42"}'
UNDECIDED = '{"reason": "?", "side": "none", "answer": ""}'


def moderated(protocol: Moderated, *texts: str, people: Population = PEOPLE) -> Episode:
    """Return the debate in which turn i says texts[i]."""
    return rehearse(protocol, people, lambda turn, say: texts[turn])


def test_a_debate_ends_as_soon_as_the_moderator_is_convinced() -> None:
    episode = moderated(Moderated(), "41", "no: 42", CONVINCED)

    outcome = episode.outcome
    assert [turn.agent.role for turn in episode.turns] == ["policy", "policy", "judge"]
    assert (outcome.answer, outcome.majority, outcome.reference) == ("42", "41", "no: 42")
    assert outcome.notes == {"rounds": 1.0, "decided": 1.0, "verdicts_unreadable": 0.0}
    [preference] = outcome.preferences
    assert (preference.asked, preference.chosen, preference.rejected) == (0, 1, 0)
    assert preference.by == (2,)
    assert [(v.of, v.score, v.by) for v in outcome.verdicts] == [(0, 0.0, 2), (1, 1.0, 2)]


def test_the_negative_side_is_told_to_disagree_with_what_it_is_shown() -> None:
    [_, negative, _] = moderated(Moderated(), "41", "no: 42", CONVINCED).turns

    asked = negative.prompt[-1].content
    assert asked.startswith(TASK.prompt)
    assert '<answer number="1">\n41\n</answer>\n\nYou disagree with it.' in asked
    assert (len(negative.prompt), negative.heard) == (1, (0,))


def test_each_side_hears_the_other_in_its_own_chat_round_after_round() -> None:
    texts = ("41", "42", UNDECIDED, "still 41", "no: 42", CONVINCED)
    episode = moderated(Moderated(), *texts)

    again, answer = episode.turns[3:5]
    assert [m.content for m in again.prompt][:2] == [TASK.prompt, "41"]
    assert '<answer number="1">\n42\n</answer>' in again.prompt[-1].content
    assert again.heard == (0, 1)
    assert [m.role for m in answer.prompt] == ["user", "assistant", "user"]
    assert answer.prompt[1].content == "42"
    assert "still 41" in answer.prompt[2].content
    assert answer.heard == (0, 1, 3)
    ruling = episode.turns[5].prompt[-1].content
    assert ruling.startswith(episode.turns[2].prompt[-1].content.split("</speech>\n\n")[0])
    assert '<speech number="2" by="negative">\nno: 42\n</speech>' in ruling
    assert episode.turns[5].heard == (0, 1, 3, 4)


def test_an_unconvinced_judge_lists_the_candidates_and_picks_one() -> None:
    episode = moderated(Moderated(rounds=1), "41", "42", UNDECIDED, "41 and 42", "It is 41")

    assert len(episode.turns) == 5
    assert (episode.outcome.answer, episode.outcome.reference) == ("41", "41")
    assert episode.outcome.notes == {"rounds": 1.0, "decided": 0.0, "verdicts_unreadable": 0.0}
    picked = episode.turns[4]
    assert picked.heard == (0, 1, 3)
    assert [m.role for m in picked.prompt] == ["user", "assistant", "user"]
    assert picked.prompt[1].content == "41 and 42"


def test_a_ruling_that_cannot_be_read_ends_nothing_and_is_counted() -> None:
    unread = moderated(Moderated(rounds=1), "41", "42", "?", "??", "none", "I don't know")

    assert len(unread.turns) == 6
    assert (unread.outcome.answer, unread.outcome.reference) == (None, None)
    assert (unread.outcome.majority, unread.outcome.preferences) == ("41", ())
    assert unread.outcome.notes["verdicts_unreadable"] == 1
    later = moderated(Moderated(), "41", "42", "?", "??", "41", "42", CONVINCED)
    assert later.outcome.notes == {"rounds": 2.0, "decided": 1.0, "verdicts_unreadable": 0.5}


@pytest.mark.parametrize(("written", "turns"), [("42", 3), ("42.0", 3), ("null", 5), ("true", 6)])
def test_an_answer_may_be_written_as_a_number_and_none_as_null(written: str, turns: int) -> None:
    ruling = f'{{"reason": "checked", "answer": {written}}}'
    said = ("41", "no: 42", ruling, *([ruling] if written == "true" else []), "41 and 42", "42")

    episode = moderated(Moderated(rounds=1), *said)

    assert len(episode.turns) == turns
    assert episode.outcome.answer == "42"
    assert episode.outcome.notes["decided"] == float(turns == 3)
    assert episode.outcome.notes["verdicts_unreadable"] == float(written == "true")


def test_an_answer_that_the_verifier_cannot_read_convinces_nobody() -> None:
    wordy = '{"reason": "checked", "side": "negative", "answer": "the second one"}'

    assert len(moderated(Moderated(rounds=1), "41", "42", wordy, "both", "42").turns) == 5


def test_an_answer_that_nobody_gave_is_its_own_reference_and_prefers_nobody() -> None:
    outcome = moderated(Moderated(), "41", "43", CONVINCED).outcome

    assert (outcome.answer, outcome.reference, outcome.preferences) == ("42", "42", ())
    assert [v.score for v in outcome.verdicts] == [0.0, 0.0]


def test_no_side_is_preferred_where_both_gave_the_answer_or_one_gave_none() -> None:
    assert moderated(Moderated(), "42", "42", CONVINCED).outcome.preferences == ()
    assert moderated(Moderated(), "who knows", "42", CONVINCED).outcome.preferences == ()


def test_one_policy_may_take_both_sides() -> None:
    alone = Population((POLICIES[0], JUDGE))
    texts = ("41", "42", UNDECIDED, "41", "42", CONVINCED)

    episode = moderated(Moderated(), *texts, people=alone)

    assert [turn.agent.name for turn in episode.turns] == ["p0", "p0", "j"] * 2
    assert episode.turns[3].prompt[1].content == "41"  # a chat for each side
    assert episode.turns[4].prompt[1].content == "42"


def test_nobody_speaks_more_often_than_it_may() -> None:
    alone = Population((POLICIES[0], JUDGE))
    two = Population((*POLICIES[:2], JUDGE))
    for people, most in ((two, 3), (alone, 6)):
        spoke = Counter(
            turn.agent for turn in rehearse(Moderated(), people, lambda turn, say: "?").turns
        )
        assert dict(spoke) == Moderated().calls(people)
        assert spoke[POLICIES[0]] == most
        assert spoke[JUDGE] == 3 * TRIES + 2


def test_who_takes_which_side_is_drawn() -> None:
    tasks = [replace(TASK, id=f"t{i}") for i in range(60)]
    sides = {
        tuple(
            t.agent.name
            for t in rehearse(Moderated(), PEOPLE, lambda turn, say: "?", task).turns[:2]
        )
        for task in tasks
    }

    assert sides == set(permutations(("p0", "p1", "p2"), 2))
    assert Moderated().calls(PEOPLE) == {**dict.fromkeys(POLICIES, 3), JUDGE: 3 * TRIES + 2}


def test_the_reference_is_an_opening_where_one_gives_the_answer() -> None:
    undecided = ["41", "no: 42", UNDECIDED, "right, it is 42", "so 42", CONVINCED]
    for i in range(20):
        episode = rehearse(
            Moderated(), PEOPLE, lambda turn, say: undecided[turn], replace(TASK, id=f"t{i}")
        )
        assert episode.outcome.reference == "no: 42"


def test_a_debate_needs_a_judge() -> None:
    with pytest.raises(MootError, match="no agent plays 'judge'"):
        Moderated().calls(Population(POLICIES))
