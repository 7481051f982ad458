"""Evaluations of which a part is missing: an episode, or the answer that would be right."""

import asyncio
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from moot.agents.errors import Fault
from moot.agents.population import Agent, Population
from moot.agents.scripted import ScriptedEngine
from moot.agents.task import Task
from moot.agents.types import Completion, Request
from moot.experiments.cycle.evaluation import evaluate
from moot.protocols.journal import Journal, Metric
from moot.protocols.stage import Stage, StageSettings
from moot.protocols.verifiers import VERIFIERS

NUMBER = VERIFIERS["number"]
KNOWN, UNKNOWN, FAILING = (
    Task(name, name, answer, NUMBER)
    for name, answer in (("known", "2"), ("unknown", None), ("failing", "2"))
)
BOTH = Population(tuple(Agent(n, "policy", "main", weights=n) for n in ("a", "b")))


def examined(folder: Path, *tasks: Task, apart: bool = False) -> dict[str, Metric]:
    """Return what two are measured at who say 2, and of what nobody knows half the time nothing."""
    said = iter(["2", "?"] * 9)

    def reply(request: Request) -> str:
        asked = request.prompt[-1].content
        if asked == FAILING.prompt:
            raise Fault("503")
        return next(said) if asked == UNKNOWN.prompt else "2"

    async def play() -> list[Metric]:
        with Journal(folder / "journal.sqlite") as journal:
            patient = StageSettings(max_failed_episodes=1)
            stage = Stage({"main": ScriptedEngine(reply)}, journal, 0, patient)
            out = folder / "held-out-000"
            return await evaluate(stage, tasks, BOTH, 2, cycle=0, out=out, apart=apart)

    return {m.name.removeprefix("held_out/"): m for m in asyncio.run(play())}


@pytest.mark.parametrize("apart", [False, True])
def test_the_failed_episodes_of_all_who_are_examined_are_counted(
    tmp_path: Path, apart: bool
) -> None:
    found = examined(tmp_path, KNOWN, FAILING, apart=apart)

    assert found["failed_episodes"].value == 2
    assert [found[name].value for name in ("accuracy", "accuracy@a", "unreadable")] == [1, 1, 0]


def test_of_a_task_whose_answer_nobody_knows_it_is_told_what_can_be_read(tmp_path: Path) -> None:
    found = examined(tmp_path, KNOWN, UNKNOWN)

    assert [found[name].value for name in ("accuracy", "unreadable")] == [1, 1 / 4]
    assert found["unreadable@a"].value == found["unreadable@b"].value == 1 / 4


def test_shares_alike_in_all_tasks_are_not_taken_for_certain(tmp_path: Path) -> None:
    found = examined(tmp_path, KNOWN)

    for name, value in (("accuracy", 1), ("majority", 1), ("unreadable", 0)):
        one = found[name]
        assert (one.value, one.low == one.high) == (value, False)
    assert found["tokens"].low == found["tokens"].high == 2


class Waiting(ScriptedEngine):
    """Answers as soon as as many wait for it as are meant to."""

    def __init__(self, many: int) -> None:
        super().__init__(lambda request: "2")
        self.together = asyncio.Barrier(many)

    async def generate(self, request: Request) -> Completion:
        """Say it when all are there."""
        await self.together.wait()
        return await super().generate(request)


@pytest.mark.parametrize(("open_episodes", "together"), [(256, 8), (2, 4)])
def test_all_who_are_examined_are_asked_at_once(
    tmp_path: Path, open_episodes: int, together: int
) -> None:
    tasks, settings = (KNOWN, UNKNOWN), StageSettings(open_episodes=open_episodes)

    async def play() -> None:
        with Journal(tmp_path / "journal.sqlite") as journal:
            stage = Stage({"main": Waiting(together)}, journal, 0, settings)
            await evaluate(stage, tasks, BOTH, 2, cycle=0, out=tmp_path / "held-out-000")

    asyncio.run(play())

    rows = pq.read_table(tmp_path / "held-out-000" / "episodes.parquet", columns=["episode"])
    assert rows["episode"].to_pylist() == [
        f"held-out-000@{who}/{task}" for task in ("known", "unknown") for who in ("a", "b")
    ]
