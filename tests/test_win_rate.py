"""The win rate: what was learnt beside what was said before, as judges find it."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from command import rows

from moot.agents.errors import Refusal
from moot.agents.population import Agent, Population
from moot.agents.scripted import ScriptedEngine
from moot.agents.task import Task
from moot.agents.types import Completion, Request
from moot.experiments.cycle.evaluation import evaluate
from moot.experiments.cycle.win_rate import RATE, win_rate
from moot.protocols.conformance import TASK, rehearse
from moot.protocols.duel import Duel, wins
from moot.protocols.journal import Journal, Metric
from moot.protocols.judging.pairwise import Pairwise
from moot.protocols.stage import Stage
from moot.protocols.types import Say
from moot.protocols.verifiers import VERIFIERS

SHOWN = re.compile(r"<reply number=\"\d\">\n(\d+)\n</reply>")
TASKS = [Task(f"t{i}", f"task {i}", None, VERIFIERS["exact"]) for i in range(10)]
UNREAD = f"{RATE}_unread"
JUDGE = Agent("judge", "judge", "main")


def prefers_the_greater(request: Request) -> str:
    one, other = map(int, SHOWN.findall(request.prompt[-1].content))
    return "1" if one > other else "2"


Says = Callable[[str, int, str], str]
"""What weights say at a version to a task."""


def measured(
    folder: Path,
    says: Says,
    judge: Callable[[Request], str | Completion] = prefers_the_greater,
    learners: tuple[str, ...] = ("pupil",),
    samples: int = 2,
) -> tuple[dict[str, Metric], list[Request]]:
    """Return the win rates after one cycle, and what was asked for them."""
    asked: list[Request] = []

    def reply(request: Request) -> str | Completion:
        asked.append(request)
        if request.choices:
            return judge(request)
        return says(request.weights or "", request.version, request.prompt[-1].content)

    people = Population(tuple(Agent(n, "policy", "main", weights=n) for n in learners))

    async def play() -> list[Metric]:
        with Journal(folder / "journal.sqlite") as journal:
            stage = Stage({"main": ScriptedEngine(reply)}, journal, seed=0)
            now = people.at(dict.fromkeys(learners, 1))
            for version, at in enumerate((people, now)):
                out = folder / f"held-out-{version:03d}"
                await evaluate(stage, TASKS, at, samples, cycle=version, out=out)
            asked.clear()
            return await win_rate(stage, TASKS, now, [JUDGE], Pairwise(), cycle=1, out=folder)

    return {m.name: m for m in asyncio.run(play())}, asked


def test_what_is_found_better_wins_and_nobody_answers_anew(tmp_path: Path) -> None:
    found, asked = measured(tmp_path, lambda _, version, task: "9" if version else "1")

    rate = found["held_out/win_rate"]
    assert (rate.value, rate.high, rate.cycle) == (1.0, 1.0, 1)
    assert rate.low is not None
    assert 0.5 < rate.low < 1  # ten tasks can't make it certain
    assert found["held_out/win_rate_unread"].value == 0
    assert len(asked) == 10 * 2 * 2  # two samples, both orders
    assert all(request.choices for request in asked)


def test_who_says_the_same_wins_by_half_and_who_grew_worse_loses(tmp_path: Path) -> None:
    def says(_: str, version: int, task: str) -> str:
        return "5" if int(task.split()[1]) < 5 else str(5 - version)

    found, asked = measured(tmp_path, says)

    assert found["held_out/win_rate"].value == pytest.approx((5 * 0.5 + 5 * 0) / 10)
    assert len(asked) == 5 * 2 * 2  # equals aren't shown to anybody


def test_what_cant_be_judged_is_left_out_and_counted(tmp_path: Path) -> None:
    def judge(request: Request) -> str:
        return "?" if "task 1" in request.prompt[-1].content else prefers_the_greater(request)

    found, _ = measured(tmp_path, lambda _, version, task: "9" if version else "1", judge)

    assert found["held_out/win_rate"].value == 1
    assert found["held_out/win_rate_unread"].value == pytest.approx(0.1)
    (tmp_path / "mute").mkdir()
    mute, _ = measured(tmp_path / "mute", lambda _, v, task: str(v), lambda request: "?")
    assert "held_out/win_rate" not in mute
    assert mute["held_out/win_rate_unread"].value == 1


def test_several_learners_are_told_together_and_apart(tmp_path: Path) -> None:
    def says(who: str, version: int, task: str) -> str:
        return str({"able": 5 + version, "dull": 5 - version}.get(who, 5))

    found, _ = measured(tmp_path, says, learners=("able", "dull"))

    assert found["held_out/win_rate@able"].value == 1
    assert found["held_out/win_rate@dull"].value == 0
    assert found["held_out/win_rate"].value == 0.5
    episodes = {row["episode"] for row in rows(tmp_path / "win-rate-001" / "verdicts.parquet")}
    assert "win-rate-001@able/t0" in episodes


def test_a_duel_shows_pairs_alone(tmp_path: Path) -> None:
    people = Population((Agent("new", "policy", "main"), Agent("old", "policy", "main"), JUDGE))
    said = ["9", "1", "2", "8", "4", "4", "3", "7"]

    def reply(turn: int, say: Say) -> str:
        if not say.choices:
            return said[turn]
        one, other = map(int, SHOWN.findall(say.text))
        return "?" if 3 in (one, other) else "12"[other > one]

    episode = rehearse(Duel(Pairwise(both_orders=False), samples=4), people, reply, TASK)
    judged = [t.heard for t in episode.turns if t.agent == JUDGE]
    assert {frozenset(pair) for pair in judged} == {
        frozenset(pair) for pair in ((0, 1), (2, 3), (6, 7))
    }
    assert wins(episode) == [1.0, 0.0, 0.5]  # of 9 and 1, 2 and 8, 4 and 4; 3 can't be judged
    calls = Duel(Pairwise(), samples=4).calls(people)
    assert [calls[agent] for agent in people.agents] == [4, 4, 4 * Pairwise().calls(2)]


def test_of_few_tasks_nothing_is_claimed(tmp_path: Path) -> None:
    def judge(request: Request) -> str:
        hard = int(request.prompt[-1].content.split("task ")[1].split()[0]) > 2
        return "?" if hard else prefers_the_greater(request)

    found, _ = measured(tmp_path, lambda _, version, task: str(version), judge)

    rate = found["held_out/win_rate"]
    assert (rate.value, rate.low, rate.high) == (1.0, None, None)


def test_what_is_too_long_for_a_judge_is_not_judged(tmp_path: Path) -> None:
    def judge(request: Request) -> str:
        if "task 3" in request.prompt[-1].content:
            raise Refusal("too long")
        return prefers_the_greater(request)

    found, _ = measured(tmp_path, lambda _, version, task: str(version), judge)

    assert found["held_out/win_rate"].value == 1
    assert found["held_out/win_rate_unread"].value == pytest.approx(0.1)


def test_who_learnt_nothing_isnt_compared(tmp_path: Path) -> None:
    people = Population((Agent("pupil", "policy", "main", weights="pupil"),))

    async def play() -> list[Metric]:
        with Journal(tmp_path / "journal.sqlite") as journal:
            stage = Stage({"main": ScriptedEngine(lambda request: "1")}, journal, seed=0)
            for version in range(2):
                out = tmp_path / f"held-out-{version:03d}"
                await evaluate(stage, TASKS, people, 1, cycle=version, out=out)
            return await win_rate(
                stage, TASKS, people, [replace(JUDGE)], Pairwise(), cycle=1, out=tmp_path
            )

    assert asyncio.run(play()) == []
