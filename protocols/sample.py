"""Sample: every policy answers alone, and nobody concludes anything."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from moot.agents.population import Agent, Population
from moot.agents.task import Task
from moot.agents.types import Settings

from .types import Outcome, Say, Script, Signal


class Sample(Settings):
    """Every policy answers the task by itself, `samples` times."""

    kind: Literal["sample"] = "sample"
    samples: int = Field(default=1, ge=1, le=10_000)
    """Answers from each policy."""

    @property
    def yields(self) -> frozenset[Signal]:
        """Nothing."""
        return frozenset()

    def __call__(self, task: Task, people: Population) -> Script:
        """Return the script of one episode; its outcome is empty."""
        yield answers(task, people, self.samples)
        return Outcome()

    def calls(self, people: Population) -> Mapping[Agent, int]:
        """Return how often each agent speaks."""
        return dict.fromkeys(people.playing("policy"), self.samples)


def answers(task: Task, people: Population, samples: int) -> list[Say]:
    """Return the wishes that open most protocols: each policy answers, unheard by the others."""
    return [Say(agent, task.prompt) for agent in people.playing("policy") for _ in range(samples)]
