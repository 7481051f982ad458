"""Trials, played by hand: how the judge decides, and what comes of it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import product

import pytest
from tried import JUDGE, POLICIES, asked, for_42, sure, tried, x_is

from moot.agents.population import Agent, Population
from moot.agents.types import Completion
from moot.protocols.asking import TRIES
from moot.protocols.conformance import TASK
from moot.protocols.trial import Trial
from moot.protocols.types import Say


def test_the_two_commonest_answers_are_argued_for_and_the_judges_taste_for_a_place_cancels() -> (
    None
):
    outcome = tried(Trial(rounds=1), "41", "42", "41", judge=for_42).outcome

    assert (outcome.answer, outcome.majority, outcome.reference) == ("42", "41", "42")
    panel = [v for v in outcome.verdicts if v.kind == "preference" and v.by is None]
    assert len(panel) == 1
    p = panel[0].score if panel[0].of == 1 else 1 - (panel[0].score or 0)  # 1 says 42
    assert p == pytest.approx((0.9 + 0.7) / 2)
    [preference] = outcome.preferences
    assert (preference.asked, preference.chosen) == (1, 1)
    assert preference.rejected in {0, 2}
    assert preference.probability == pytest.approx(0.8)
    assert preference.by == (5, 6)
    assert [v.score for v in outcome.verdicts if v.kind == "match"] == [0.0, 1.0, 0.0]


def test_a_verdict_of_the_judge_is_about_the_answer_that_it_was_shown_first() -> None:
    episode = tried(Trial(rounds=1), "41", "42", "41", judge=for_42)

    own = [v for v in episode.outcome.verdicts if v.by is not None]
    [one, other] = own
    assert (one.over, one.of) == (other.of, other.over)
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
    notes = episode.outcome.notes
    assert (episode.outcome.answer, notes["tried"], notes["decided"]) == ("42", 0, 0)
    assert tried(Trial(), "?", "?", "?", judge=for_42).outcome.answer is None


def test_the_commonest_answer_is_tried_and_of_equals_and_of_those_who_gave_it_one_is_drawn() -> (
    None
):
    five = Population((*(Agent(f"p{i}", "policy", "main") for i in range(5)), JUDGE))

    episodes = [
        tried(
            *(Trial(rounds=1), *"13253"),
            judge=for_42,
            people=five,
            task=replace(TASK, id=f"task-{i}"),
        )
        for i in range(60)
    ]

    pairs = Counter(frozenset(t.agent.name for t in one.turns[5:7]) for one in episodes)
    assert set(pairs) == {frozenset(two) for two in product(("p1", "p4"), ("p0", "p2", "p3"))}


def test_which_side_is_called_a_is_drawn_by_the_task() -> None:
    first = {
        tried(Trial(rounds=1), "41", "42", "43", judge=for_42, task=replace(TASK, id=f"task-{i}"))
        .turns[3]
        .agent.name
        for i in range(40)
    }

    assert first == {"p0", "p1", "p2"}
