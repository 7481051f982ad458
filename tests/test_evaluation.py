"""Evaluation and talk: the numbers of a few episodes, worked out by hand."""

import asyncio
from pathlib import Path

import pytest
from pupils import PUPILS, TASKS, value

from moot.agents.population import Agent, Population
from moot.agents.scripted import ScriptedEngine
from moot.agents.types import Completion, Request
from moot.experiments.cycle.evaluation import baseline, evaluate, examinees
from moot.experiments.experiment import Evaluation
from moot.protocols.journal import Journal, Metric
from moot.protocols.stage import Stage


def evaluated(folder: Path, people: Population, samples: int = 3) -> tuple[list[Metric], list[str]]:
    """Return what an engine that says 2, 2, nothing, 2, ... is measured at, and who was asked."""
    lines, asked = iter(["2", "2", "?"] * 99), list[str]()

    def reply(request: Request) -> str:
        asked.append(f"{request.weights}@{request.version}")
        return next(lines)

    async def play() -> list[Metric]:
        with Journal(folder / "journal.sqlite") as journal:
            stage = Stage({"main": ScriptedEngine(reply)}, journal, seed=0)
            return await evaluate(
                stage, TASKS, people, samples, cycle=4, out=folder / "held-out-004"
            )

    return asyncio.run(play()), asked


def test_who_learns_is_examined_once_for_each_weights_and_else_every_policy() -> None:
    assert [a.name for a in examinees(Population(PUPILS)).values()] == ["pupil-0"]
    assert [a.name for a in examinees(Population(PUPILS[2:])).values()] == ["elder"]


def test_unreadable_answers_are_not_right_and_abstain_in_the_vote(tmp_path: Path) -> None:
    metrics, asked = evaluated(tmp_path, Population(PUPILS[:1]))

    # Both tasks get 2, 2 and nothing readable; 2 is right for the first alone.
    assert asked == ["pupil@0"] * 6
    assert value(metrics, "held_out/accuracy") == pytest.approx((2 / 3 + 0) / 2)
    assert value(metrics, "held_out/majority") == 0.5
    assert value(metrics, "held_out/unreadable") == pytest.approx(1 / 3)
    assert value(metrics, "held_out/tokens") == 4  # three words in, one out
    [interval] = [(m.low, m.high) for m in metrics if m.name == "held_out/majority"]
    assert interval == (0.0, 1.0)
    assert {m.cycle for m in metrics} == {4}


def test_answers_that_reached_their_most_tokens_are_counted(tmp_path: Path) -> None:
    def reply(request: Request) -> Completion:
        first = request.prompt[-1].content == TASKS[0].prompt
        return Completion("2 and", "length" if first else "stop", 0, 3, 2, 0.0)

    async def play() -> list[Metric]:
        with Journal(tmp_path / "journal.sqlite") as journal:
            stage = Stage({"main": ScriptedEngine(reply)}, journal, seed=0)
            people = Population(PUPILS[2:])
            return await evaluate(stage, TASKS, people, 2, cycle=0, out=tmp_path / "held-out-000")

    assert value(asyncio.run(play()), "held_out/cut") == 0.5


def test_several_weights_are_measured_together_and_apart(tmp_path: Path) -> None:
    people = Population((PUPILS[0], Agent("other", "policy", "main", weights="other")))

    metrics, _ = evaluated(tmp_path, people)

    names = {m.name for m in metrics if m.name.startswith("held_out/accuracy")}
    assert names == {"held_out/accuracy", "held_out/accuracy@pupil", "held_out/accuracy@other"}


@pytest.mark.parametrize(("most", "votes"), [(64, 9), (5, 5)])
def test_the_baseline_votes_at_the_compute_that_the_run_spent(
    tmp_path: Path, most: int, votes: int
) -> None:
    seen: list[int] = []

    def reply(request: Request) -> str:
        seen.append(request.version)
        return "2"

    # 16 tokens talked and 3 x 20 trained; a vote costs 4 tokens on each of 2 tasks: 76 / 8 is 9.5.
    spent = [
        Metric(0, "talk/tokens", 10),
        Metric(1, "talk/tokens", 6),
        Metric(0, "train/tokens", 12, step=0),
        Metric(0, "train/tokens@reward_model", 8, step=0),
        Metric(0, "held_out/tokens", 4),
        Metric(1, "held_out/tokens", 999),
    ]

    async def play() -> list[Metric]:
        with Journal(tmp_path / "journal.sqlite") as journal:
            stage = Stage({"main": ScriptedEngine(reply)}, journal, seed=0)
            settings, people = Evaluation(baseline_votes=most), Population(PUPILS)
            return await baseline(
                stage, TASKS, people, settings, spent, cycle=2, out=tmp_path / "baseline"
            )

    metrics = asyncio.run(play())

    assert seen == [0] * (2 * votes)  # version 0: the untrained model
    assert value(metrics, "baseline/votes") == votes
    assert value(metrics, "baseline/votes_affordable") == 9
    assert value(metrics, "baseline/majority") == 0.5


def test_the_baseline_is_everyones_vote_whoever_comes_first(tmp_path: Path) -> None:
    """One policy is always right, the other never: their votes are right half of the time."""
    lines = {"right": {"1 + 1?": "2", "1 + 2?": "3"}, "wrong": {}}
    spent = [Metric(0, "talk/tokens", 64), Metric(0, "held_out/tokens", 4)]

    async def play(order: list[str], folder: Path) -> list[Metric]:
        engines = {
            name: ScriptedEngine(lambda request, own=own: own.get(request.prompt[-1].content, "0"))
            for name, own in lines.items()
        }
        people = Population(tuple(Agent(n, "policy", n, weights=n) for n in order))
        with Journal(tmp_path / f"{folder.name}.sqlite") as journal:
            stage = Stage(engines, journal, seed=0)
            return await baseline(
                stage, TASKS, people, Evaluation(), spent, cycle=2, out=tmp_path / folder
            )

    one = asyncio.run(play(["right", "wrong"], Path("one")))
    other = asyncio.run(play(["wrong", "right"], Path("other")))

    assert value(one, "baseline/majority") == value(other, "baseline/majority") == 0.5
    assert value(one, "baseline/majority@right") == 1.0
    assert value(one, "baseline/votes") == 4  # 64 tokens, 4 a vote, two tasks, two policies
