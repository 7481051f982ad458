"""Trials, played by hand: who hears what, what is hidden, and how the judge decides."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from moot.agents.population import Agent, Population, acting
from moot.agents.types import Completion, Task
from moot.protocols.asking import TRIES
from moot.protocols.conformance import TASK, rehearse
from moot.protocols.trial import Trial
from moot.protocols.types import Episode, Say

POLICIES = tuple(Agent(f"p{i}", "policy", "main") for i in range(3))
JUDGE = Agent("j", "judge", "main")
PEOPLE = Population((*POLICIES, JUDGE))


def sure(*shares: float) -> Completion:
    return Completion("?", "stop", 0, 1, 1, 0.0, shares=shares)


def tried(
    trial: Trial,
    *answers: str,
    judge: Callable[[Say], Completion | str],
    people: Population = PEOPLE,
    task: Task = TASK,
) -> Episode:
    """Return a trial of these answers; speeches are numbered, and `judge` decides."""

    def reply(turn: int, say: Say) -> str | Completion:
        if say.choices:
            return judge(say)
        return answers[turn] if turn < len(answers) else f"speech {turn}"

    return rehearse(trial, people, reply, task)


def for_42(say: Say) -> Completion:
    """Be for 42, and lean to X by .1."""
    return sure(0.9, 0.1) if x_is(say) == "42" else sure(0.3, 0.7)


def x_is(say: Say) -> str:
    """Return the answer that X stands for, found by its advocate's name alone."""
    name = say.text.split("X, advocate ")[1][0]
    return say.text.split(f'by="{name}">\n')[1].split("\n")[0]


def asked(episode: Episode, turn: int) -> str:
    return episode.turns[turn].prompt[-1].content


def test_the_two_commonest_answers_are_argued_for_and_the_judges_taste_for_a_place_cancels() -> (
    None
):
    outcome = tried(Trial(rounds=1), "41", "42", "41", judge=for_42).outcome

    assert (outcome.answer, outcome.majority, outcome.reference) == ("42", "41", "42")
    panel = [v for v in outcome.verdicts if v.kind == "preference" and v.by is None]
    assert len(panel) == 1
    p = panel[0].score if panel[0].of == 1 else 1 - (panel[0].score or 0)
    assert p == pytest.approx((0.9 + 0.7) / 2)
    [preference] = outcome.preferences
    assert (preference.asked, preference.chosen, preference.rejected) == (1, 1, 0)
    assert preference.probability == pytest.approx(0.8)
    assert preference.by == (5, 6)
    assert [v.score for v in outcome.verdicts if v.kind == "match"] == [0.0, 1.0, 0.0]


def test_a_verdict_of_the_judge_is_about_the_answer_that_it_was_shown_first() -> None:
    episode = tried(Trial(rounds=1), "41", "42", "41", judge=for_42)

    own = [v for v in episode.outcome.verdicts if v.by is not None]
    assert [(v.of, v.over) for v in own] in ([(0, 1), (1, 0)], [(1, 0), (0, 1)])
    for verdict in own:
        assert verdict.by is not None
        shown = asked(episode, verdict.by)
        first, second = (
            shown.find(f"\n{episode.turns[i].text}\n<") for i in (verdict.of, verdict.over or 0)
        )
        assert 0 < first < second
        assert verdict.score == (0.9 if verdict.of == 1 else 0.3)


def likes_x(say: Say) -> Completion:
    return sure(0.9, 0.1)


def says_x(say: Say) -> str:
    return "X"


def likes_the_first_speech(say: Say) -> Completion:
    """Be for whoever's argument is read first, by whatever letter."""
    first = say.text.split('<argument number="1" by="')[1][0]
    return sure(0.8, 0.2) if f"X, advocate {first}" in say.text else sure(0.2, 0.8)


@pytest.mark.parametrize("judge", [likes_x, says_x, likes_the_first_speech])
def test_a_judge_that_likes_a_place_alone_decides_nothing(
    judge: Callable[[Say], Completion | str],
) -> None:
    outcome = tried(Trial(), "41", "42", "41", judge=judge).outcome

    assert (outcome.answer, outcome.reference, outcome.preferences) == (None, None, ())
    assert outcome.majority == "41"
    assert (outcome.notes["tried"], outcome.notes["decided"]) == (1, 0)
    assert [v.score for v in outcome.verdicts if v.by is None] == [0.5]


def test_a_judge_that_cannot_be_read_abstains_and_is_counted() -> None:
    silent = tried(Trial(rounds=1), "41", "42", "41", judge=lambda say: "hm")
    half = tried(
        Trial(rounds=1), "41", "42", "41", judge=lambda say: "X" if x_is(say) == "42" else "hm"
    )

    assert len(silent.turns) == 3 + 2 + 2 * TRIES
    for episode, unread in ((silent, 1.0), (half, 0.5)):
        outcome = episode.outcome
        assert (outcome.answer, outcome.notes["decided"]) == (None, 0)
        assert outcome.notes["verdicts_unreadable"] == unread
        assert [v.score for v in outcome.verdicts if v.by is None] == [None]


def test_judges_are_averaged_by_their_trust() -> None:
    people = Population((*POLICIES, JUDGE, replace(JUDGE, name="k", trust=0.25)))

    def judge(say: Say) -> Completion:
        likes = "41" if say.agent.name == "k" else "42"
        return sure(0.6, 0.4) if x_is(say) == likes else sure(0.4, 0.6)

    [preference] = tried(
        Trial(rounds=1), "41", "42", "41", judge=judge, people=people
    ).outcome.preferences

    assert preference.chosen == 1
    assert preference.probability == pytest.approx((0.6 + 0.25 * 0.4) / 1.25)


def test_where_all_agree_there_is_no_trial() -> None:
    episode = tried(Trial(), "42", "42", "?", judge=for_42)

    assert len(episode.turns) == 3
    assert (episode.outcome.answer, episode.outcome.notes["tried"]) == ("42", 0)
    assert tried(Trial(), "?", "?", "?", judge=for_42).outcome.answer is None


def test_of_many_answers_the_commonest_are_tried_and_the_first_given_of_equals() -> None:
    five = Population((*(Agent(f"p{i}", "policy", "main") for i in range(5)), JUDGE))

    episode = tried(Trial(rounds=1), *"13253", judge=for_42, people=five)

    assert {t.agent.name for t in episode.turns[5:7]} == {"p1", "p0"}  # 3 twice; then 1, not 2 or 5


def test_which_side_is_called_a_is_drawn_by_the_task() -> None:
    first = {
        tried(Trial(rounds=1), "41", "42", "41", judge=for_42, task=replace(TASK, id=f"task-{i}"))
        .turns[3]
        .agent.name
        for i in range(20)
    }

    assert first == {"p0", "p1"}


def test_advocates_speak_at_once_or_hear_each_other() -> None:
    together = tried(Trial(rounds=2), "41", "42", "41", judge=for_42)
    in_turn = tried(Trial(rounds=1, speak="in_turn"), "41", "42", "41", judge=for_42)

    assert [turn.agent.role for turn in together.turns[3:7]] == ["critic"] * 4
    assert "speech" not in asked(together, 4)
    assert [f"speech {i}" in asked(together, 6) for i in (3, 4)] == [True, True]
    assert together.turns[6].heard == (0, 1, 3, 4)
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
            *("41", "42", "41"),
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
    episode = tried(Trial(rounds=2, questions=True), "41", "42", "41", judge=for_42)

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
