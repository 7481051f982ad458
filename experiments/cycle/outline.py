"""Outlines: what is kept of episodes that were written down, to tell how right they were.

A completion of a thousand tokens, with their ids and log-probabilities, is some .1 MB in memory,
and an evaluation may have hundreds of thousands.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from moot.agents.population import Population
from moot.agents.types import Task
from moot.protocols.likelihood import mean_logprob
from moot.protocols.stage import Failure, Stage
from moot.protocols.types import Episode, Outcome, Protocol, Turn

T = TypeVar("T")


async def outlines(
    stage: Stage,
    protocol: Protocol,
    tasks: Iterable[Task],
    people: Population | Callable[[Task], Population],
    phase: str,
    write: Callable[[Episode], None],
) -> tuple[list[Episode], int]:
    """Play every task, and return the outlines of its episodes and how many failed.

    The tasks are taken by their ids, so that the episodes come in the order they are written in.

    Args:
        stage: where they are played.
        protocol: the rules.
        tasks: what to work on.
        people: who plays, or who plays which task.
        phase: what this part of the run is called.
        write: is told of every whole episode as it comes.
    """
    found: list[Episode] = []
    failed = 0
    ranked = sorted(tasks, key=lambda task: task.id)
    async for one in stage.play(protocol, ranked, people, phase):
        if isinstance(one, Failure):
            failed += 1
        else:
            write(one)
            found.append(outline(one))
    return found, failed


async def in_turn(plays: Mapping[str, AsyncGenerator[T]]) -> AsyncGenerator[tuple[str, T]]:
    """Yield what each yields next, by turns and with its name, while all of them go on."""
    due = {name: asyncio.create_task(_next(play)) for name, play in plays.items()}
    try:
        while due:
            for name, waiting in [*due.items()]:
                if (one := await waiting) is None:
                    del due[name]
                else:
                    due[name] = asyncio.create_task(_next(plays[name]))
                    yield name, one
    finally:
        for waiting in due.values():
            waiting.cancel()
        await asyncio.gather(*due.values(), return_exceptions=True)
        for play in plays.values():
            await play.aclose()


async def _next(play: AsyncGenerator[T]) -> T | None:
    return await anext(play, None)


def outline(episode: Episode) -> Episode:
    """Return an episode without its words and ids: who answered what, at what cost, how likely.

    Of log-probabilities their mean is left, in place of all; of the outcome the answer.
    """
    turns = tuple(map(_outline, episode.turns))
    return replace(episode, turns=turns, outcome=Outcome(answer=episode.outcome.answer))


def _outline(turn: Turn) -> Turn:
    mean = mean_logprob(turn)
    said = replace(
        turn.completion,
        text="",
        tokens=(),
        logprobs=() if mean is None else (mean,),
        prompt_tokens=(),
        shares=(),
    )
    return replace(turn, prompt=(), completion=said)
