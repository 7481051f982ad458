"""Outlines: what is kept of episodes that were written down, to tell how right they were.

A completion of a thousand tokens, with their ids and log-probabilities, is some .1 MB in memory,
and an evaluation may have hundreds of thousands.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

from moot.agents.population import Population
from moot.agents.types import Task
from moot.protocols.likelihood import mean_logprob
from moot.protocols.stage import Failure, Stage
from moot.protocols.types import Episode, Outcome, Protocol, Turn


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
