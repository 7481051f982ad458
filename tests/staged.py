"""A stage on which an engine speaks that remembers what it was asked."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from moot.agents.population import Agent, Population
from moot.agents.task import Task
from moot.agents.types import Completion, Request, Weights
from moot.protocols.journal import Journal
from moot.protocols.stage import Failure, Stage, StageSettings
from moot.protocols.types import Episode, Protocol
from moot.protocols.verifiers import VERIFIERS

PEOPLE = Population((Agent("a", "policy", "main"), Agent("b", "policy", "main")))


def tasks(n: int) -> list[Task]:
    return [Task(f"t{i}", f"{i}?", str(i), VERIFIERS["number"]) for i in range(n)]


@dataclass
class Voice:
    """An engine that answers by a function, and remembers what it was asked."""

    reply: Callable[[Request], str] = lambda request: request.prompt[-1].content
    asked: list[Request] = field(default_factory=list[Request])
    now: int = 0
    most: int = 0

    async def generate(self, request: Request) -> Completion:
        self.asked.append(request)
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= 1
        return Completion(self.reply(request), "stop", 0, 1, 1, 0.0)

    async def load(self, weights: Weights) -> None:
        raise NotImplementedError

    async def held(self) -> Mapping[str, int]:
        return {}


def play(
    journal: Path,
    voice: Voice,
    protocol: Protocol,
    n: int = 3,
    settings: StageSettings | None = None,
    about: list[Task] | None = None,
    phase: str = "cycle-000",
    seed: int = 7,
) -> list[Episode | Failure]:
    async def all_of(stage: Stage) -> list[Episode | Failure]:
        return [e async for e in stage.play(protocol, about or tasks(n), PEOPLE, phase)]

    with Journal(journal) as opened:
        stage = Stage({"main": voice}, opened, seed, settings or StageSettings())
        return asyncio.run(all_of(stage))
