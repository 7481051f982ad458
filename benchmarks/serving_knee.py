"""What serving.py measures of the knee: the real vLLM, whose latency is heeded or isn't."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from statistics import median
from typing import Any

from serving_engines import Silent
from serving_vllm import play, question, settings, stage

from moot.agents.engine import Limits
from moot.agents.limits.gate import Gate
from moot.agents.population import Agent, Population
from moot.agents.task import Task
from moot.agents.types import Sampling
from moot.protocols.consensus import Consensus
from moot.protocols.verifiers import VERIFIERS

PLACES = 32
WORDS = ("apple", "box", "school", "day", "number", "river", "stone", "house", "green", "light")


def page(i: int) -> Task:
    """Return a task of a hundred words of its own."""
    words = " ".join(Random(i).choices(WORDS, k=100))
    return Task(f"page-{i}", f"{words}. How many apples?", "3", VERIFIERS["number"])


LOADS = {"reads": (page, 4), "says": (question, 48)}
"""Tasks, and tokens of an answer.

What mostly reads is as busy with a few prompts as with many; what mostly says gains from each more.
"""


async def load(name: str, n: int, *, heeded: bool) -> dict[str, Any]:
    """Ask one agent `n` questions, at most as many at once as there are places.

    `latency_s` is the time at the server, of the last third: what isn't let in waits at the gate.
    """
    task, said = LOADS[name]
    people = Population((Agent("solver", "policy", "main", sampling=Sampling(max_tokens=said)),))
    server = settings(4).model_copy(update={"limits": Limits(concurrency=PLACES)})
    async with stage(server, 4) as (at, engine, run):
        if not heeded:
            silent = Gate("main", Silent(engine), server.limits, Random(0))
            at = replace(at, engines={"main": silent})
        await play(at, Consensus(), [task(10**6)], people, run / "warm")
        episodes, seconds = await play(at, Consensus(), map(task, range(n)), people, run / "on")
    turns = [turn.completion for episode in episodes for turn in episode.turns]
    late = sorted(turns, key=lambda one: one.ended_s)[n * 2 // 3 :]
    return {
        "tokens_per_s": sum(one.tokens_out for one in turns) / seconds,
        "latency_s": median(one.latency_s for one in late),
    }


def main(arguments: Sequence[str]) -> None:
    """Print what a side does, as JSON in the last line: SIDE FOLDER N."""
    side, _, n = arguments
    name = side.removesuffix("-unheeded")
    print(json.dumps(asyncio.run(load(name, int(n), heeded=name == side))))


if __name__ == "__main__":
    main(sys.argv[1:])
