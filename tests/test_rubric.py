"""Rubrics, played by hand: who proposes from what, who reviews it, and who is asked how often."""

import re

import pytest
from pydantic import ValidationError
from rubric_talk import (
    CRITICS,
    JUDGE,
    PEOPLE,
    POLICIES,
    WRITTEN,
    common,
    grades,
    held,
    proposal,
    proposers,
)

from moot.agents.errors import MootError
from moot.agents.population import Population
from moot.protocols.conformance import TASK, rehearse
from moot.protocols.debate import Debate
from moot.protocols.reflection import Reflection
from moot.protocols.rubric import Rubric
from moot.protocols.sample import Sample
from moot.protocols.types import Verdict


def test_the_anchor_takes_criteria_from_the_reference_and_never_sees_the_question() -> None:
    episode = held(
        Rubric(), lambda prompt, c: "yes" if c == "Is short" or "I say" in prompt else "no"
    )
    first, second, synthesis, proposed, *judged = episode.turns

    assert (proposed.agent.name, proposed.agent.weights) == ("anchor", None)
    asked = proposed.prompt[-1].content
    assert asked.startswith('<answer number="1">\nso 42\n</answer>')
    assert "at least 5 criteria" in asked
    assert TASK.prompt not in asked
    assert proposed.heard == (synthesis.index,)
    assert [turn.heard for turn in judged] == [(0, 3), (0, 3), (1, 3), (1, 3)]

    # One call for each of two criteria and two answers; the share that is met is the grade.
    assert [v for v in episode.outcome.verdicts if v.kind == "criterion"] == [
        Verdict(first.index, "criterion", 1.0, 4, "Says 42"),
        Verdict(first.index, "criterion", 1.0, 5, "Is short"),
        Verdict(second.index, "criterion", 0.0, 6, "Says 42"),
        Verdict(second.index, "criterion", 1.0, 7, "Is short"),
    ]
    assert grades(episode) == [1.0, 0.5]
    assert episode.outcome.notes == {
        "criteria": 2,
        "rejected": 0,
        "verdicts_unreadable": 0,
        "discrimination": 0.5,
    }


def test_the_reference_is_the_synthesisers_though_a_policy_said_the_same() -> None:
    [proposed] = proposers(held(Rubric(), answers=("so 42", "41", "so 42")))

    assert proposed.heard == (2,)


def test_what_the_talk_concludes_stays_as_it_is() -> None:
    rubric = Rubric()
    outcome = held(rubric).outcome

    assert rubric.yields == {"reference", "grades"}
    assert (outcome.reference, outcome.answer) == ("so 42", "42")
    assert [(v.of, v.score, v.by) for v in outcome.verdicts if v.kind == "match"] == [
        (0, 1.0, 2),
        (1, 0.0, 2),
    ]
    assert outcome.rubric[1:] == ("[1] Says 42", "[1] Is short")
    assert re.fullmatch("# version [0-9a-f]{12}", outcome.rubric[0])


def test_the_question_may_be_shown_beside_the_reference() -> None:
    [proposed] = proposers(held(Rubric(question="shown")))

    assert proposed.prompt[-1].content.startswith(f"Question: {TASK.prompt}\n\n<answer number")


def test_criteria_may_come_from_the_question_alone() -> None:
    [proposed] = proposers(held(Rubric(talk=Sample(), source="question")))

    assert proposed.prompt[-1].content.startswith(f"Question: {TASK.prompt}\n\nWrite at least 5")
    assert "<answer" not in proposed.prompt[-1].content
    assert proposed.heard == ()


def test_criteria_may_come_from_what_answers_disagree_on() -> None:
    rubric = Rubric(talk=Sample(samples=2), source="disagreement")

    [proposed] = proposers(held(rubric))
    assert proposed.heard == (0, 1, 2, 3)
    shown = re.findall(r'<answer number="(\d)">\n(.*)\n</answer>', proposed.prompt[-1].content)
    assert [number for number, _ in shown] == list("1234")
    spoken = ["I say 42", "No idea: 41", "so 42", "43"]
    assert sorted(text for _, text in shown) == sorted(spoken)
    assert [text for _, text in shown] != spoken  # in an order that is drawn by the task
    assert "<answer" in proposed.prompt[-1].content

    alike = held(rubric, answers=("42",))
    assert len(alike.turns) == 4  # there is nothing to look for, and nobody is asked
    assert alike.outcome.rubric == ()
    assert grades(alike) == []


def test_every_critic_may_propose_and_all_are_heard_before_the_bound() -> None:
    rubric = Rubric(by="critic", criteria=1, most=4)
    said = (proposal("a", "b", "c"), "1. A!\n2. d\n3. e", "nothing")

    episode = held(rubric, proposals=(*said, "still nothing"))

    # The first of each, then the second of each: a, (A!), b, d, c, (e: there is no room).
    assert episode.outcome.rubric[1:] == ("[1] a", "[1] b", "[1] d", "[1] c")
    assert episode.outcome.notes["rejected"] == 2
    asked = proposers(episode)
    assert [turn.agent.name for turn in asked] == ["c0", "c1", "c2", "c2"]
    judged = episode.turns[asked[-1].index + 1 :][:4]
    assert [set(turn.heard) - {0, 1} for turn in judged] == [{3}, {3}, {4}, {3}]


def test_who_cannot_be_read_is_asked_for_a_list() -> None:
    first, second = proposers(held(Rubric(), proposals=("I won't.", "1. Says 42\n2. Is short")))
    one, other = first.prompt[-1].content, second.prompt[-1].content

    assert one.endswith('Reply with JSON only: {"criteria": [{"text": "..."}]}')
    assert other == common(one, other) + "a numbered list only."
    assert [first.heard, second.heard] == [(2,), (2,)]

    forms: list[str] = []
    rehearse(Rubric(), PEOPLE, lambda turn, say: forms.append(say.shape) or "42")
    assert [bool(form) for form in forms] == [False] * 3 + [True, False]  # held to it but once


def test_the_best_graded_answer_is_the_populations_where_the_talk_concludes_nothing() -> None:
    def judge(prompt: str, criterion: str) -> str:
        return "yes" if "No idea" in prompt else "no"

    outcome = held(Rubric(talk=Sample(), source="question"), judge).outcome

    assert (outcome.answer, outcome.reference) == ("41", None)


def test_a_population_without_those_who_are_needed_is_refused() -> None:
    alone = Population(POLICIES)

    with pytest.raises(MootError, match="no agent plays 'judge'"):
        Rubric().calls(alone)
    for rubric in (Rubric(by="critic"), Rubric(review=True)):
        with pytest.raises(MootError, match="no agent plays 'critic'"):
            rubric.calls(alone)


def test_the_bound_on_calls_is_reached_and_not_passed() -> None:
    twenty = proposal(*map(str, range(30)))
    critic = Rubric(talk=Debate(), by="critic", criteria=1, review=True)

    episode = held(
        critic,
        lambda prompt, criterion: "?",
        proposals=("?", "?", "?", twenty),
        answers=("41", "42"),
    )

    spoke = [turn.agent for turn in episode.turns]
    assert {agent: spoke.count(agent) for agent in spoke} == critic.calls(PEOPLE)
    # Two answers each, two tries at a proposal and at a review, two at 20 criteria for 2 answers.
    assert critic.calls(PEOPLE) == {
        **dict.fromkeys(POLICIES, 2),
        **dict.fromkeys(CRITICS, 4),
        JUDGE: 80,
    }


@pytest.mark.parametrize(
    ("rubric", "of_anchor", "of_judge"),
    [
        (Rubric(), 3, 2 * 20 * 2),  # two answers; the anchor, alike in both, also synthesises
        (Rubric(talk=Reflection(samples=3, rounds=2)), 2, 2 * 20 * 6),
        (Rubric(talk=Sample(samples=3), source="question", most=7), 2, 2 * 7 * 6),
        (Rubric(talk=Sample(), written=WRITTEN), 0, 2 * 3 * 2),
        (Rubric(talk=Sample(), written=WRITTEN, score="implicit"), 0, 2 * 2),
    ],
)
def test_calls_say_who_speaks_how_often(rubric: Rubric, of_anchor: int, of_judge: int) -> None:
    most = rubric.calls(PEOPLE)

    assert sum(n for agent, n in most.items() if agent.name == "anchor") == of_anchor
    assert most[JUDGE] == of_judge


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"talk": {"kind": "sample"}}, "'sample' gives no reference .* such as synthesis"),
        ({"criteria": 21}, "asks for 21, of which 20 are used"),
        ({"written": "[0] a"}, "line 1: expected"),
        ({"written": "a", "review": True}, "review: a written rubric is used as it is"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    keys: dict[str, object], problem: str
) -> None:
    with pytest.raises(ValidationError, match=problem):
        Rubric.model_validate(keys)


def test_a_written_rubric_needs_no_reference() -> None:
    assert Rubric(talk=Sample(), written="a").yields == {"grades"}
