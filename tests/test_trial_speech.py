"""Trials, played by hand: who speaks, who hears whom, and what is hidden."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from tried import JUDGE, POLICIES, asked, for_42, tried

from moot.agents.population import Population, acting
from moot.agents.types import Completion
from moot.protocols.asking import TRIES
from moot.protocols.conformance import TASK, rehearse
from moot.protocols.equivalent import Equivalent
from moot.protocols.judged import Judged
from moot.protocols.rubric import Rubric
from moot.protocols.trial import PLACES, Trial
from moot.protocols.types import Protocol, Say

TRIAL = Trial(rounds=1)


def test_advocates_speak_at_once_or_hear_each_other() -> None:
    together = tried(Trial(rounds=2), "41", "42", "41", judge=for_42)
    in_turn = tried(Trial(rounds=1, speak="in_turn"), "41", "42", "41", judge=for_42)

    assert [turn.agent.role for turn in together.turns[3:7]] == ["critic"] * 4
    assert "speech" not in asked(together, 4)
    assert [f"speech {i}" in asked(together, 6) for i in (3, 4)] == [True, True]
    mine, other = (
        next(i for i in range(3) if together.turns[i].agent.name == together.turns[at].agent.name)
        for at in (6, 5)
    )
    assert together.turns[6].heard == (*sorted((mine, other)), 3, 4)
    assert "speech 3" in asked(in_turn, 4)


def test_an_advocate_keeps_its_name_whoever_is_shown_the_case_in_whatever_order() -> None:
    episode = tried(Trial(rounds=2), "41", "42", "41", judge=for_42)

    name = {i: asked(episode, i).split("You are advocate ")[1][0] for i in (3, 4, 5, 6)}
    assert (name[3], name[4]) == (name[5], name[6]) == ("A", "B")
    for place in (5, 6, 7, 8):
        assert 'by="A">\nspeech 3\n' in asked(episode, place)
        assert 'by="B">\nspeech 4\n' in asked(episode, place)
    one, other = (asked(episode, i) for i in (7, 8))
    assert [one.find(f"speech {i}\n") for i in (3, 4, 5, 6)] == sorted(
        one.find(f"speech {i}\n") for i in (3, 4, 5, 6)
    )
    assert [other.find(f"speech {i}\n") for i in (4, 3, 6, 5)] == sorted(
        other.find(f"speech {i}\n") for i in (3, 4, 5, 6)
    )


def test_who_has_heard_the_other_is_shown_after_it_in_both_orders() -> None:
    episode = tried(Trial(rounds=1, speak="in_turn"), "41", "42", "41", judge=for_42)

    assert all(
        asked(episode, i).find("speech 3") < asked(episode, i).find("speech 4") for i in (5, 6)
    )


def test_a_consultant_speaks_alone_and_the_judge_is_told() -> None:
    alone = tried(Trial(form="consultancy", rounds=2), "41", "42", "41", judge=for_42)

    assert len({turn.agent.name for turn in alone.turns[3:5]}) == 1
    assert len(alone.turns) == 3 + 2 + 2
    name = asked(alone, 3).split("You are advocate ")[1][0]
    assert all(f"Only advocate {name} is heard." in asked(alone, i) for i in (3, 4, 5, 6))
    assert alone.outcome.answer == "42"
    advocates = {
        tried(
            Trial(form="consultancy", rounds=1),
            *("41", "42", "?"),
            judge=for_42,
            task=replace(TASK, id=f"task-{i}"),
        )
        .turns[3]
        .agent.name
        for i in range(20)
    }
    assert advocates == {"p0", "p1"}  # the right and the wrong answer are argued for alike


def test_the_arguments_that_won_are_demonstrated() -> None:
    trial = Trial(rounds=2, questions=True)
    outcome = (episode := tried(trial, "41", "42", "41", judge=for_42)).outcome

    said = [episode.turns[d.said] for d in outcome.demonstrations]
    assert {d.name for d in outcome.demonstrations} == {"debater"}
    assert [turn.agent.name for turn in said] == ["p1"] * 4  # two arguments, two replies
    assert all("You are advocate" in turn.prompt[-1].content for turn in said)


def test_the_judge_asks_each_advocate_a_question_which_it_answers_before_the_next_round() -> None:
    episode = tried(Trial(rounds=2, questions=True), "41", "42", "?", judge=for_42)

    speakers = [turn.agent for turn in episode.turns[3:]]
    one, other = (acting(POLICIES[i], "critic") for i in (0, 1))
    assert speakers[2:4] == [JUDGE, JUDGE]
    assert Counter(speakers[:2]) == Counter(speakers[4:6]) == Counter([one, other])
    assert len(speakers) == 2 * 6 + 2
    assert "Ask advocate A one question" in asked(episode, 5)
    assert "Ask advocate B one question" in asked(episode, 6)
    assert "speech 4" in asked(episode, 5)
    question = '<question number="3" by="the judge, to A">\nspeech 5\n</question>'
    assert question in asked(episode, 7)
    assert "reply to the judge's last question to you" in asked(episode, 7).casefold()
    assert '<reply number="5" by="A">\nspeech 7\n</reply>' in asked(episode, 9)
    assert "Argue for your answer" in asked(episode, 9)


def test_the_source_is_kept_from_the_judge_alone() -> None:
    task = replace(TASK, prompt="Read. <source>It says 42.</source> What does it say?")

    for sees, shown in (("question", False), ("source", True)):
        trial = Trial.model_validate({"judge_sees": sees, "rounds": 1, "questions": True})
        episode = tried(trial, "41", "42", "41", judge=for_42, task=task)
        by_judge = [turn for turn in episode.turns if turn.agent == JUDGE]
        assert len(by_judge) == 4
        for turn in episode.turns:
            assert ("It says 42." in turn.prompt[-1].content) == (shown or turn not in by_judge)
            assert "What does it say?" in turn.prompt[-1].content


@pytest.mark.parametrize(
    "source",
    [
        "<source>secret</source> Which?",
        "<SOURCE>secret</SOURCE> Which?",
        "<source id='1'>secret</source> Which?",
        '<Source\n title="a < b">secret</source > Which?',
        "<source id='1'>secret</source> Which? <source id='2'>secret",
        "Of <sources> and <source/>: Which? <source>secret</source>",
        "<source>secret </source> secret</source> Which?",
        "<source>secret</source> Which? <source>secret</source> Say.",
        "Which? <source>secret",
        "Which? <source>secret <source>secret</source> Say.",
    ],
)
def test_no_part_of_a_source_is_shown_and_no_question_hidden(source: str) -> None:
    task = replace(TASK, prompt=source)
    episode = tried(Trial(rounds=1), "41", "42", "41", judge=for_42, task=task)

    [one, *_] = [turn for turn in episode.turns if turn.agent == JUDGE]
    assert "secret" not in one.prompt[-1].content
    assert "Which?" in one.prompt[-1].content


@pytest.mark.parametrize(
    "protocol", [Judged(talk=TRIAL), Equivalent(talk=TRIAL), Rubric(talk=TRIAL, written="a")]
)
def test_who_judges_what_was_tried_is_kept_from_the_source_too(protocol: Protocol) -> None:
    task = replace(TASK, prompt="<source>secret</source> Which?")

    def reply(turn: int, say: Say) -> str | Completion:
        if say.choices == PLACES:
            return for_42(say)
        return say.choices[0] if say.choices else ("41", "42", "41", "speech")[min(turn, 3)]

    episode = rehearse(protocol, Population((*POLICIES[:3], JUDGE)), reply, task)

    prompts = [turn.prompt[-1].content for turn in episode.turns if turn.agent == JUDGE]
    assert len(prompts) > 2
    assert all("Which?" in one and "secret" not in one for one in prompts)


def test_without_a_source_the_whole_prompt_is_the_question() -> None:
    episode = tried(Trial(rounds=1), "41", "42", "41", judge=for_42)

    assert asked(episode, 5).startswith(f"Question:\n{TASK.prompt}\n\n")


@pytest.mark.parametrize(
    ("keys", "arguing", "judging"),
    [
        ({}, 2, 2 * TRIES),
        ({"samples": 2, "rounds": 3}, 2 * 3, 2 * TRIES),
        ({"samples": 2, "rounds": 3, "questions": True}, 2 * 3 * 2, 2 * TRIES + 2 * 3),
        ({"form": "consultancy", "rounds": 3, "questions": True}, 3 * 2, 2 * TRIES + 3),
        ({"form": "consultancy", "samples": 2, "rounds": 3}, 3, 2 * TRIES),
    ],
)
def test_nobody_speaks_more_often_than_it_may_and_somebody_speaks_as_often(
    keys: dict[str, Any], arguing: int, judging: int
) -> None:
    trial = Trial.model_validate(keys)
    people = Population((POLICIES[0], JUDGE) if trial.samples > 1 else (*POLICIES[:2], JUDGE))

    episode = tried(trial, "41", "42", judge=lambda say: "?", people=people)

    spoke = Counter(turn.agent for turn in episode.turns)
    assert trial.calls(people)[acting(POLICIES[0], "critic")] == arguing
    assert trial.calls(people)[JUDGE] == spoke[JUDGE] == judging
    assert max(n for agent, n in spoke.items() if agent.role == "critic") == arguing
    assert all(spoke[policy] == trial.samples for policy in people.playing("policy"))
