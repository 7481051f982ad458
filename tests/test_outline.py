"""What is kept of episodes that were written down: enough to tell how right they were, no more."""

import asyncio
import gc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command import rows
from told import answered

from moot.agents.population import Agent, Population
from moot.agents.scripted import ScriptedEngine
from moot.agents.task import Task
from moot.agents.types import Completion, Request
from moot.experiments.cycle.controls import controls, likeliest
from moot.experiments.cycle.evaluation import evaluate, summary, verified
from moot.experiments.cycle.outline import outline
from moot.experiments.cycle.talk import tokens
from moot.protocols.debate import Debate
from moot.protocols.journal import Journal
from moot.protocols.stage import Stage, StageSettings
from moot.protocols.types import Episode, Verdict
from moot.protocols.verifiers import VERIFIERS

PEOPLE = Population((Agent("a", "policy", "main"),))
TASKS = [Task(f"t{i}", f"1 + {i}?", str(i + 1), VERIFIERS["number"]) for i in (3, 0, 4, 1, 2)]


def measured(reply: Callable[[Request], Completion], folder: Path) -> None:
    """Have the tasks answered in an evaluation, and in the controls of a debate."""

    async def play() -> None:
        with Journal(folder / "journal.sqlite") as journal:
            settings = StageSettings(open_episodes=1)
            stage = Stage({"main": ScriptedEngine(reply)}, journal, 0, settings)
            await evaluate(stage, TASKS, PEOPLE, 2, cycle=0, out=folder / "held-out-000")
            await controls(stage, Debate(), TASKS, PEOPLE, cycle=0, out=folder)

    asyncio.run(play())


def said(text: str, **named: Any) -> Completion:
    return Completion(text, "stop", 0, 3, 2, 0.0, **named)


def test_an_outline_tells_how_right_how_dear_and_how_likely_as_the_episode_does() -> None:
    spoken = answered("4", "so 5", "?", "yes").turns
    completions = (
        said("4", tokens=(1, 2), logprobs=(-0.1, -0.4), prompt_tokens=(7, 8, 9)),
        said("so 5", tokens=(3, 4), logprobs=(-0.7, -0.1), shares=(0.5, 0.5)),
        said("?"),
        said("yes", verdict=0.25),
    )
    turns = [replace(t, completion=c) for t, c in zip(spoken, completions, strict=True)]
    turns[3] = replace(turns[3], heard=(0,))
    whole = replace(answered(name="e/t"), turns=tuple(turns))
    whole = replace(
        whole, outcome=replace(whole.outcome, answer="4", verdicts=(Verdict(0, "x", 1),))
    )

    kept = outline(whole)

    def told(one: Episode) -> tuple[Any, ...]:
        return (
            one.correct,
            tokens([one]),
            verified(one),
            likeliest([one]),
            summary([one], 0, seed=0),
        )

    assert told(kept) == told(whole)
    assert likeliest([kept]) == {"t": 1.0}  # -.25 is more than -.4
    assert not any(t.text or t.prompt or t.completion.tokens for t in kept.turns)


def test_of_what_was_written_down_memory_holds_no_ids(tmp_path: Path) -> None:
    held: list[int] = []

    def reply(request: Request) -> Completion:
        if request.prompt[0].content == "1 + 4?":  # the last by id
            gc.collect()
            there = [one for one in gc.get_objects() if type(one) is Completion]
            held.append(sum(one.tokens == (7, 7) for one in there))
        return said("4", tokens=(7, 7), logprobs=(-0.5, -0.5))

    measured(reply, tmp_path)

    assert max(held) < 6  # those of the last episode and of the one before, at most


@pytest.mark.parametrize("folder", ["held-out-000", "controls-protocol", "controls-vote-1"])
def test_rows_are_in_the_order_of_ids_whatever_the_tasks_is(folder: str, tmp_path: Path) -> None:
    measured(lambda request: said("4"), tmp_path)

    there = [row["task"] for row in rows(tmp_path / folder / "episodes.parquet")]
    assert there == ["t0", "t1", "t2", "t3", "t4"]
