"""CaT: which rollouts an episode teaches, and at what reward."""

from dataclasses import replace
from typing import Literal

import pytest

from moot.agents.population import Agent
from moot.agents.task import Task
from moot.agents.types import Completion, Sampling
from moot.protocols.types import Episode, Outcome, Turn, Verdict
from moot.protocols.verifiers import VERIFIERS
from moot.training.data.examples import Rollout
from moot.training.methods.cat import CaT
from moot.training.policy_gradient.objective import Objective

PLAIN = Objective(scale="none", kl=0)

TASK = Task("t", "2 + 2?", "4", VERIFIERS["number"])


def taught(method: CaT, told: Episode) -> list[Rollout]:
    return method.graded(method.examples(told))


def episode(scores: list[float | None], frozen: int | None = None) -> Episode:
    turns = tuple(
        Turn(
            index=i,
            round=0,
            agent=Agent(f"p{i}", "policy", "main", weights=None if i == frozen else "p"),
            prompt=Agent("p", "policy", "main").prompt(TASK.prompt),
            completion=Completion("4", "stop", 3, 1, 1, 0.0, (7, 8), (-1.0, -2.0)),
            heard=(),
            answer=None if score is None else "4",
        )
        for i, score in enumerate(scores)
    )
    verdicts = tuple(Verdict(i, "match", s, by=9) for i, s in enumerate(scores))
    return Episode("cycle-000/t", TASK, "synthesis", turns, Outcome(verdicts))


def test_a_rollout_says_where_it_came_from() -> None:
    rollout = taught(CaT(objective=PLAIN), episode([1.0, 0.0]))[0]

    assert (rollout.episode, rollout.turn, rollout.agent) == ("cycle-000/t", 0, "p0")
    assert (rollout.weights, rollout.version, rollout.judges) == ("p", 3, (9,))
    assert rollout.answer == "4"  # of which a guard counts how many are alike
    said = rollout.said
    assert (said.tokens, said.temperature, said.finish) == ((7, 8), 1.0, "stop")


def test_a_rollout_says_how_it_was_sampled_and_that_it_was_cut_off() -> None:
    told = episode([1.0])
    [turn] = told.turns
    agent = replace(turn.agent, sampling=Sampling(temperature=0.7, max_tokens=5))
    words = replace(turn.completion, finish="length", tokens_out=5)

    [rollout] = CaT().examples(replace(told, turns=(replace(turn, agent=agent, completion=words),)))

    said = rollout.said
    assert (said.temperature, said.most, said.length) == (0.7, 5, 5)
    assert (said.finish, said.cut) == ("length", True)


def test_rewards_are_agreement_and_credit_is_relative_to_the_group() -> None:
    rollouts = taught(CaT(objective=PLAIN), episode([1.0, 0.0, 0.0, 1.0]))

    assert [r.reward for r in rollouts] == [1.0, 0.0, 0.0, 1.0]
    assert [r.advantage for r in rollouts] == [0.5, -0.5, -0.5, 0.5]


def test_an_unreadable_answer_earns_what_the_method_says_or_falls_out() -> None:
    kept = taught(CaT(objective=PLAIN), episode([1.0, None]))
    assert [(r.turn, r.reward) for r in kept] == [(0, 1.0), (1, 0.0)]

    left = taught(CaT(objective=PLAIN, no_answer=None), episode([1.0, None, 0.0]))
    assert [(r.turn, r.advantage) for r in left] == [(0, 0.5), (2, -0.5)]


@pytest.mark.parametrize("reward", ["match", "grade"])
def test_what_no_judge_could_read_is_left_out(reward: Literal["match", "grade"]) -> None:
    told = episode([1.0, 1.0])
    verdicts = (Verdict(0, reward, None), Verdict(1, reward, 1.0))

    [rollout] = CaT(reward=reward).examples(replace(told, outcome=Outcome(verdicts)))

    assert (rollout.turn, rollout.reward) == (1, 1.0)


def test_a_grade_is_that_of_all_judges_together() -> None:
    grades = (0.8, None), (0.1, 7), (1.0, 8)
    verdicts = tuple(Verdict(0, "grade", score, by=judge) for score, judge in grades)
    told = replace(episode([1.0]), outcome=Outcome((*verdicts, Verdict(0, "match", 0.0))))

    [rollout] = CaT(reward="grade").examples(told)

    assert (rollout.reward, rollout.judges) == (0.8, ())


def test_frozen_policies_count_in_the_group_and_learn_nothing() -> None:
    rollouts = taught(CaT(objective=PLAIN), episode([1.0, 0.0], frozen=1))

    assert [(r.turn, r.advantage) for r in rollouts] == [(0, 0.5), (1, -0.5)]
    assert [(r.speakers, r.teaches) for r in rollouts] == [(("p",), True), ((), False)]


def test_answers_are_credited_against_those_of_their_own_round() -> None:
    whole = episode([1.0, 0.0, 1.0, 1.0])
    later = tuple(replace(turn, round=1) for turn in whole.turns[2:])

    rollouts = taught(CaT(objective=PLAIN), replace(whole, turns=(*whole.turns[:2], *later)))

    assert [(r.turn, r.advantage) for r in rollouts] == [(0, 0.5), (1, -0.5), (2, 0.0), (3, 0.0)]


@pytest.mark.parametrize("scores", [[], [1.0], [1.0, 1.0], [0.0, 0.0], [None, None]])
def test_episodes_without_contrast_teach_nothing_but_to_stay_near_the_anchor(
    scores: list[float | None],
) -> None:
    free, held = (taught(CaT(objective=Objective(kl=kl)), episode(scores)) for kl in (0.0, 0.1))

    assert all(r.advantage == 0 and not r.teaches for r in free)
    assert all(r.advantage == 0 and r.teaches for r in held)
