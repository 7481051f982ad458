"""Verdicts that a policy learnt: how they are read, and what votes and judges make of them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from handmade import write_episodes

from moot.agents.errors import EngineError
from moot.agents.population import Agent, Population
from moot.agents.self_reward import FILE, Reading, read, write
from moot.agents.types import Completion, Message
from moot.experiments.cycle.evaluation import summary
from moot.experiments.report.evaluations import accuracies
from moot.protocols.conformance import TASK, check, rehearse
from moot.protocols.consensus import Consensus
from moot.protocols.judged import Judged
from moot.protocols.judging.self_reward import SelfReward as Judging
from moot.protocols.selection import Selection
from moot.protocols.types import Episode, Protocol, Say

LEARNT = tuple(Agent(f"p{i}", "policy", "main", weights="p", version=3) for i in range(4))
BOTH = tuple(replace(one, others=("judge",)) for one in LEARNT)
FRESH = tuple(replace(one, version=0) for one in LEARNT)
VERIFICATION = {"held_out/verification_f1", "held_out/verification_auc"}
HOW = Reading((2, 300), beta=0.1, constant=-23.0)


def spoken(text: str, verdict: float | None = None, finish: Any = "stop") -> Completion:
    return Completion(text, finish, 3, 1, 1, 0.0, verdict=verdict)


def told(
    protocol: Protocol,
    answers: Sequence[Completion],
    verdicts: Mapping[str, float | None],
    agents: Sequence[Agent] = LEARNT,
) -> Episode:
    """Return the episode in which these are the answers, and such the verdicts on their texts."""

    def reply(turn: int, say: Say) -> Completion:
        if not say.verdict:
            return answers[turn]
        [text] = say.choices
        return spoken(text, verdicts[text])

    return rehearse(protocol, Population(tuple(agents)), reply)


SPOKEN = [spoken("so 41"), spoken("41!"), spoken("is 42"), spoken("nothing")]
VERDICTS = {"so 41": 0.2, "41!": 0.1, "is 42": 0.9}


def test_a_verdict_is_scaled_from_the_constant() -> None:
    assert [HOW.verdict(p) for p in (-23.0, -18.0, -13.0, -33.0)] == [0, 0.5, 1, -1]


def test_how_verdicts_are_read_lies_beside_the_weights(tmp_path: Path) -> None:
    assert read(tmp_path) is None
    write(tmp_path, HOW)
    assert read(tmp_path) == HOW


@pytest.mark.parametrize(
    "text", ["", "[]", '{"after": 1, "beta": 2, "constant": 3}', '{"beta": 1}']
)
def test_a_file_that_cannot_be_read_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(text)

    with pytest.raises(EngineError, match=f"{FILE}: expected `after`, `beta` and `constant`"):
        read(tmp_path)


def test_a_vote_counts_the_answers_as_their_policies_hold_them_right() -> None:
    episode = told(Consensus(weigh="self_reward"), SPOKEN, VERDICTS)

    outcome = episode.outcome
    assert (outcome.answer, outcome.majority) == ("42", "41")
    assert outcome.notes == {"tied": 0.0, "unweighed": 0.0}
    weights = [(v.of, v.score) for v in outcome.verdicts if v.kind == "weight"]
    assert weights == [(0, 0.2), (1, 0.1), (2, 0.9)]  # what turn 3 says is no answer
    #  Who gave a readable answer judges it, in the very chat that it was given in.
    judged = episode.turns[4:]
    assert [turn.agent.name for turn in judged] == ["p0", "p1", "p2"]
    assert {turn.agent.role for turn in judged} == {"judge"}
    assert [turn.heard for turn in judged] == [(0,), (1,), (2,)]
    assert all(turn.prompt == (Message("user", TASK.prompt),) for turn in judged)


def test_an_answer_that_was_cut_off_weighs_nothing_and_nobody_is_asked() -> None:
    answers = [spoken("is 42"), spoken("so 41", finish="length"), spoken("41!", finish="length")]

    episode = told(Consensus(weigh="self_reward"), answers, {"is 42": 0.1}, LEARNT[:3])

    assert len(episode.turns) == 4
    assert episode.outcome.answer == "42"
    #  Weights that never learnt verdicts have none on these either.
    untaught = told(Consensus(weigh="self_reward"), answers, {"is 42": None}, LEARNT[:3])
    assert untaught.outcome.answer == "41"


@pytest.mark.parametrize("verdict", [-0.2, 0.0])
def test_where_no_answer_is_held_right_all_count_alike(verdict: float) -> None:
    episode = told(Consensus(weigh="self_reward"), SPOKEN, dict.fromkeys(VERDICTS, verdict))

    assert episode.outcome.answer == "41"


def test_no_answer_weighs_more_than_one() -> None:
    sure = {"so 41": 0.6, "41!": 0.6, "is 42": 7.0}

    assert told(Consensus(weigh="self_reward"), SPOKEN, sure).outcome.answer == "41"
    #  But the best of n is the one that is held most right.
    assert told(Selection(by="self_reward"), SPOKEN, sure).outcome.answer == "42"


def test_who_reads_a_verdict_gives_no_answer(tmp_path: Path) -> None:
    episode = told(Consensus(weigh="self_reward"), SPOKEN, VERDICTS)

    write_episodes(tmp_path, 3, [episode])

    assert accuracies(tmp_path) == {(TASK.id, ""): 1 / 4}


def test_an_evaluation_says_how_well_they_tell_right_from_wrong() -> None:
    verdicts = {"so 41": 0.2, "41!": 0.6, "is 42": 0.9}
    episode = told(Consensus(weigh="self_reward"), SPOKEN, verdicts)
    fresh = told(Consensus(weigh="self_reward"), SPOKEN, {}, FRESH)

    measured = {m.name: m.value for m in summary(alike(episode, 8), 3, seed=0)}

    assert measured == {
        "held_out/accuracy": 1 / 4,
        "held_out/majority": 0.0,  # two say 41
        "held_out/weighted_majority": 1.0,
        "held_out/unreadable": 1 / 4,
        "held_out/cut": 0.0,
        "held_out/tokens": 2.0,  # of an answer; what reads a verdict is none
        "held_out/verification_f1": 2 / 3,  # of 1 on what is right, and of a half on what is wrong
        "held_out/verification_auc": 1.0,
    }
    lows = {m.name: m.low for m in summary(alike(episode, 8), 3, seed=0)}
    # All eight were told apart, which isn't all that there are.
    assert lows["held_out/verification_auc"] == pytest.approx(0.025 ** (1 / 8))
    assert {m.name.partition("/")[2] for m in summary([fresh], 0, seed=0)} == {
        "accuracy",
        "majority",
        "unreadable",
        "cut",
        "tokens",
    }
    #  Where nothing is wrong, or nothing is known, there is nothing to tell.
    right = told(Consensus(weigh="self_reward"), SPOKEN[2:3], verdicts, LEARNT[:1])
    unknown = replace(episode, task=replace(episode.task, answer=None))
    for one in (right, unknown):
        assert not VERIFICATION & {m.name for m in summary(alike(one, 8), 0, 0)}


def test_few_answers_of_one_kind_claim_nothing_of_verdicts() -> None:
    """Seven tasks with wrong answers, among many: their interval would be told as if of all."""
    both = told(Consensus(weigh="self_reward"), SPOKEN, VERDICTS)
    right = told(Consensus(weigh="self_reward"), SPOKEN[2:3], VERDICTS, LEARNT[:1])
    mixed = [alike(both, 40)[:n] + alike(right, 40)[n:] for n in (7, 8)]

    few, enough = ({m.name for m in summary(some, 3, seed=0)} for some in mixed)

    assert not few & VERIFICATION
    assert enough == few | VERIFICATION


def alike(episode: Episode, n: int) -> list[Episode]:
    """Return the episode as if it were of `n` tasks."""
    tasks = [replace(episode.task, id=f"t{i}") for i in range(n)]
    return [replace(episode, id=task.id, task=task) for task in tasks]


def test_until_verdicts_are_learnt_all_count_alike() -> None:
    episode = told(Consensus(weigh="self_reward"), SPOKEN, {}, FRESH)
    untaught = told(Consensus(weigh="self_reward"), SPOKEN, dict.fromkeys(VERDICTS), LEARNT)

    assert len(episode.turns) == 4
    assert episode.outcome.answer == untaught.outcome.answer == "41"


def test_who_has_a_persona_judges_under_it() -> None:
    agents = [replace(one, persona="Be brief.") for one in LEARNT]

    episode = told(Consensus(weigh="self_reward"), SPOKEN, VERDICTS, agents)

    prompts = {turn.prompt for turn in episode.turns}
    assert prompts == {(Message("system", "Be brief."), Message("user", TASK.prompt))}


def test_the_answer_held_most_right_is_selected() -> None:
    episode = told(Selection(by="self_reward"), SPOKEN, VERDICTS)

    assert episode.outcome.reference == "is 42"
    assert episode.outcome.notes == {"pick_self_reward": 0.9}
    fresh = told(Selection(by="self_reward"), SPOKEN, {}, FRESH)
    assert (fresh.outcome.reference, fresh.outcome.notes) == ("so 41", {})


def test_judges_grade_by_what_they_learnt_and_others_abstain() -> None:
    agents = [BOTH[0], replace(BOTH[1], trust=3.0), FRESH[2]]
    verdicts = {"so 41": 0.2, "41!": 0.1, "is 42": 0.9}

    episode = told(Judged(judging=Judging()), SPOKEN[:3], verdicts, agents)

    own = [v for v in episode.outcome.verdicts if v.by is not None]
    panel = {v.of: v.score for v in episode.outcome.verdicts if v.by is None}
    assert len(own) == 6  # who is at version 0 is not asked
    assert panel == pytest.approx({0: 0.2, 1: 0.1, 2: 0.9})
    assert episode.outcome.answer == "42"
    [preference] = episode.outcome.preferences
    assert (preference.chosen, preference.rejected) == (2, 1)


def test_a_reply_that_was_cut_off_is_judged_by_nobody() -> None:
    answers = [spoken("is 42"), spoken("so 41", finish="length")]

    episode = told(Judged(judging=Judging()), answers, {"is 42": 0.9}, BOTH[:2])

    panel = {v.of: v.score for v in episode.outcome.verdicts if v.by is None}
    assert panel == {0: 0.9, 1: None}


@pytest.mark.parametrize(
    "protocol",
    [
        Consensus(weigh="self_reward", samples=2),
        Selection(by="self_reward", samples=2),
        Judged(judging=Judging()),
    ],
)
def test_they_conform(protocol: Protocol) -> None:
    check(protocol, Population(BOTH))
