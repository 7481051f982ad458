"""Outlines: what is kept of episodes that were written down, to tell how right they were.

A completion of a thousand tokens, with their ids and log-probabilities, is some .1 MB in memory,
and an evaluation may have hundreds of thousands.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import TypeVar

from moot.agents.task import Task
from moot.protocols.likelihood import mean_logprob
from moot.protocols.stage import Failure
from moot.protocols.types import Episode, Outcome, Turn

T = TypeVar("T")


async def outlines(
    plays: Mapping[str, AsyncGenerator[Episode | Failure]], write: Callable[[Episode], None]
) -> tuple[dict[str, list[Episode]], int]:
    """Return the outlines of the episodes of each play, by name, and how many failed in all.

    Args:
        plays: go on together, and their episodes come by turns.
        write: is told of every whole episode as it comes.
    """
    found: dict[str, list[Episode]] = {name: [] for name in plays}
    failed = 0
    async with aclosing(in_turn(plays)) as played:
        async for name, one in played:
            if isinstance(one, Failure):
                failed += 1
            else:
                write(one)
                found[name].append(outline(one))
    return found, failed


def ranked(tasks: Iterable[Task]) -> list[Task]:
    """Return the tasks by their ids: the order in which their episodes are to be written."""
    return sorted(tasks, key=lambda task: task.id)


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
