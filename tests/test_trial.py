"""Trials, moderated debates and tournaments, played by hand."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from moot.agents.population import Agent, Population, acting
from moot.agents.types import Completion
from moot.protocols.asking import TRIES
from moot.protocols.conformance import TASK, rehearse
from moot.protocols.moderated import Moderated
from moot.protocols.tournament import Tournament
from moot.protocols.trial import Trial
from moot.protocols.types import Episode, Say

POLICIES = tuple(Agent(f"p{i}", "policy", "main") for i in range(3))
JUDGE = Agent("j", "judge", "main")
PEOPLE = Population((*POLICIES, JUDGE))


def sure(*shares: float) -> Completion:
    return Completion("?", "stop", 0, 1, 1, 0.0, shares=shares)


def tried(trial: Trial, *answers: str, judge: Callable[[Say], Completion | str]) -> Episode:
    """Return a trial of these answers; arguments and questions are numbered, `judge` decides."""

    def reply(turn: int, say: Say) -> str | Completion:
        if say.choices:
            return judge(say)
        return answers[turn] if turn < len(answers) else f"speech {turn}"

    return rehearse(trial, PEOPLE, reply)


def for_42(say: Say) -> Completion:
    """Be for whoever argues for 42, and lean to A by .1."""
    a = "A argues for: 42" in say.text
    return sure(0.9, 0.1) if a else sure(0.3, 0.7)


def test_the_two_commonest_answers_are_argued_for_and_the_judges_taste_for_a_cancels() -> None:
    outcome = tried(Trial(rounds=1), "41", "42", "41", judge=for_42).outcome

    assert (outcome.answer, outcome.majority, outcome.reference) == ("42", "41", "42")
    panel = [v for v in outcome.verdicts if v.kind == "preference" and v.by is None]
    assert len(panel) == 1
    p = panel[0].score if panel[0].of == 1 else 1 - (panel[0].score or 0)
    assert p == pytest.approx((0.9 + 0.7) / 2)
    [preference] = outcome.preferences
    assert (preference.asked, preference.chosen, preference.rejected) == (1, 1, 0)
    assert preference.probability == pytest.approx(0.8)
    assert [v.score for v in outcome.verdicts if v.kind == "match"] == [0.0, 1.0, 0.0]


def test_a_judge_that_likes_a_alone_decides_nothing() -> None:
    outcome = tried(Trial(), "41", "42", "41", judge=lambda say: sure(0.9, 0.1)).outcome

    assert (outcome.answer, outcome.reference, outcome.preferences) == (None, None, ())
    assert (outcome.notes["tried"], outcome.notes["decided"]) == (1, 0)


def test_where_all_agree_there_is_no_trial() -> None:
    episode = tried(Trial(), "42", "42", "?", judge=for_42)

    assert len(episode.turns) == 3
    assert (episode.outcome.answer, episode.outcome.notes["tried"]) == ("42", 0)


def test_advocates_speak_at_once_or_hear_each_other() -> None:
    together = tried(Trial(rounds=2), "41", "42", "41", judge=for_42).turns
    in_turn = tried(Trial(rounds=1, speak="in_turn"), "41", "42", "41", judge=for_42).turns

    assert [turn.agent.role for turn in together[3:7]] == ["critic"] * 4
    assert "speech" not in together[4].prompt[-1].content
    assert [f"speech {i}" in together[6].prompt[-1].content for i in (3, 4)] == [True, True]
    assert together[6].heard == (0, 1, 3, 4)
    assert "speech 3" in in_turn[4].prompt[-1].content


def test_a_consultant_speaks_alone_and_the_arguments_that_won_are_demonstrated() -> None:
    alone = tried(Trial(form="consultancy", rounds=2), "41", "42", "41", judge=for_42)
    both = tried(Trial(rounds=2), "41", "42", "41", judge=for_42)

    assert len({turn.agent.name for turn in alone.turns[3:5]}) == 1
    assert len(alone.turns) == 3 + 2 + 2
    won = [both.turns[d.said] for d in both.outcome.demonstrations]
    assert [(d.name, both.turns[d.said].agent.name) for d in both.outcome.demonstrations] == [
        ("debater", "p1"),
        ("debater", "p1"),
    ]
    assert all("argue for your answer" in turn.prompt[-1].content.casefold() for turn in won)


def test_the_judge_asks_each_advocate_a_question_between_rounds() -> None:
    episode = tried(Trial(rounds=2, questions=True), "41", "42", "41", judge=for_42)

    asked = episode.turns[5:7]
    assert [turn.agent for turn in asked] == [JUDGE, JUDGE]
    assert [
        "advocate A one" in asked[0].prompt[-1].content,
        "speech 4" in asked[0].prompt[-1].content,
    ]
    reply = episode.turns[7].prompt[-1].content
    assert '<question number="3" by="A">\nspeech 5\n</question>' in reply


def test_the_source_is_kept_from_the_judge_alone() -> None:
    task = replace(TASK, prompt="Read. <source>It says 42.</source> What does it say?")

    def reply(turn: int, say: Say) -> str | Completion:
        return for_42(say) if say.choices else ["41", "42", "41"][turn] if turn < 3 else "so"

    for sees, shown in (("question", False), ("source", True)):
        trial = Trial.model_validate({"judge_sees": sees, "rounds": 1})
        turns = rehearse(trial, PEOPLE, reply, task).turns
        assert "It says 42." in turns[3].prompt[-1].content
        assert ("It says 42." in turns[5].prompt[-1].content) == shown
        assert "What does it say?" in turns[5].prompt[-1].content


def test_what_a_trial_asks_for_at_most() -> None:
    calls = Trial(samples=2, rounds=3, questions=True).calls(PEOPLE)

    assert calls[POLICIES[0]] == 2
    assert calls[acting(POLICIES[0], "critic")] == 6
    assert calls[JUDGE] == 2 * TRIES + 2 * 2


# Moderated debates


def moderated(protocol: Moderated, people: Population, *texts: str) -> Episode:
    return rehearse(protocol, people, lambda turn, say: texts[turn])


CONVINCED = '{"reason": "checked", "side": "negative", "answer": "42"}'
UNDECIDED = '{"reason": "?", "side": "none", "answer": ""}'


def test_a_debate_ends_as_soon_as_the_moderator_is_convinced() -> None:
    episode = moderated(Moderated(), PEOPLE, "41", "no: 42", CONVINCED)

    outcome = episode.outcome
    assert [turn.agent.name for turn in episode.turns] == ["p0", "p1", "j"]
    assert (outcome.answer, outcome.majority, outcome.reference) == ("42", "41", "no: 42")
    assert outcome.notes == {"rounds": 1.0, "decided": 1.0}
    [preference] = outcome.preferences
    assert (preference.asked, preference.chosen, preference.rejected, preference.by) == (
        0,
        1,
        0,
        (2,),
    )
    assert "You disagree with it" in episode.turns[1].prompt[-1].content


def test_each_side_hears_the_other_in_its_own_chat_round_after_round() -> None:
    episode = moderated(Moderated(), PEOPLE, "41", "42", UNDECIDED, "still 41", "no: 42", CONVINCED)

    again = episode.turns[3]
    assert [m.content for m in again.prompt][:2] == [TASK.prompt, "41"]
    assert '<answer number="1">\n42\n</answer>' in again.prompt[-1].content
    assert again.heard == (0, 1)
    ruling = episode.turns[5].prompt[-1].content
    assert ruling.startswith(episode.turns[2].prompt[-1].content.split("</speech>\n\n")[0])
    assert '<speech number="2" by="negative">\nno: 42\n</speech>' in ruling


def test_an_unconvinced_judge_lists_the_candidates_and_picks_one() -> None:
    episode = moderated(Moderated(rounds=1), PEOPLE, "41", "42", UNDECIDED, "41 and 42", "It is 41")

    assert len(episode.turns) == 5
    assert (episode.outcome.answer, episode.outcome.reference) == ("41", "41")
    assert episode.outcome.notes == {"rounds": 1.0, "decided": 0.0}
    assert episode.turns[4].heard == (0, 1, 3)
    unread = moderated(Moderated(rounds=1), PEOPLE, "41", "42", "?", "??", "none", "I don't know")
    assert (unread.outcome.answer, unread.outcome.preferences) == (None, ())


def test_one_policy_may_take_both_sides() -> None:
    alone = Population((POLICIES[0], JUDGE))

    episode = moderated(Moderated(), alone, "41", "42", CONVINCED)

    assert [turn.agent.name for turn in episode.turns] == ["p0", "p0", "j"]
    assert Moderated().calls(alone) == {POLICIES[0]: 6, JUDGE: 3 * TRIES + 2}


# Tournaments

STRENGTH = {"41": 0.2, "42": 0.9, "43": 0.5}


def played(protocol: Tournament, *answers: str) -> Episode:
    people = Population((*(Agent(f"p{i}", "policy", "main") for i in range(len(answers))), JUDGE))

    def reply(turn: int, say: Say) -> str | Completion:
        if not say.choices:
            return answers[turn]
        a, b = (STRENGTH.get(p.split("\n")[1], 0.1) for p in say.text.split("<reply ")[1:])
        return sure(a / (a + b), b / (a + b))

    return rehearse(protocol, people, reply)


def test_the_strongest_answer_wins_whoever_is_in_the_majority() -> None:
    episode = played(Tournament(), "41", "42", "41", "43", "?")

    outcome = episode.outcome
    assert (outcome.answer, outcome.majority) == ("42", "41")
    assert len(episode.turns) == 5 + 2 * 3  # three unlike answers, each pair in both orders
    grades = {v.of: v.score for v in outcome.verdicts if v.kind == "grade"}
    assert grades[1] == pytest.approx((9 / 11 + 9 / 14) / 2)
    assert [(p.chosen, p.rejected) for p in outcome.preferences] == [(1, 0), (3, 0), (1, 3)]


def test_in_swiss_rounds_those_meet_who_have_not_met() -> None:
    answers = ["41", "42", "43", "44"]

    one, two = (played(Tournament(rounds=n), *answers) for n in (1, 2))

    pairs = [
        (v.of, v.over) for v in two.outcome.verdicts if v.kind == "preference" and v.by is None
    ]
    assert len(one.turns) == 4 + 2 * 2
    assert pairs == [(0, 1), (2, 3), (1, 2), (0, 3)]  # the winners meet, and then the losers
    assert two.outcome.answer == "42"


def test_one_answer_wins_without_a_game_and_none_wins_nothing() -> None:
    assert played(Tournament(), "42", "42").outcome.answer == "42"
    assert played(Tournament(), "?", "?").outcome.answer is None
