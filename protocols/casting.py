"""Casting: who of a population plays an episode."""

from collections.abc import Mapping, Sequence
from math import exp
from random import Random
from typing import Annotated, Literal

from pydantic import Field

from moot.agents.errors import MootError
from moot.agents.population import Agent, Population, Role
from moot.agents.types import Settings, Task

Seats = Annotated[int | None, Field(ge=1)]


class Everybody(Settings):
    """All play every episode."""

    kind: Literal["all"] = "all"

    def cast(self, people: Population, task: Task, number: int) -> Population:
        """Return who plays."""
        return people


class Some(Settings):
    """So many of each role play; the others sit the episode out."""

    kind: Literal["sample", "round_robin", "rating"]
    """Drawn by the task; going round from episode to episode; or drawn by the task with odds of
    e^rating, the Bradley-Terry strength that an agent's replies have shown in earlier cycles."""
    policies: Seats = None
    """How many play; all where it is left out."""
    critics: Seats = None
    """How many play; all where it is left out."""
    judges: Seats = None
    """How many play; all where it is left out."""

    def cast(self, people: Population, task: Task, number: int) -> Population:
        """Return who plays, in the population's order; the same episode has the same cast.

        Args:
            people: of whom they are taken.
            task: the episode's.
            number: the episode's place in its phase.

        Raises:
            MootError: there are fewer than there are seats.
        """
        seats: Mapping[Role, int | None] = {
            "policy": self.policies,
            "critic": self.critics,
            "judge": self.judges,
        }
        playing = {
            agent.name
            for role, seated in seats.items()
            for agent in self._seated(role, seated, people, task, number)
        }
        return Population(tuple(agent for agent in people.agents if agent.name in playing))

    def _seated(
        self, role: Role, seats: int | None, people: Population, task: Task, number: int
    ) -> Sequence[Agent]:
        there = [agent for agent in people.agents if agent.role == role]
        if seats is None:
            return there
        if seats > len(there):
            raise MootError(f"{seats} agents are to play '{role}', and there are {len(there)}")
        if self.kind == "round_robin":
            return [there[(number * seats + i) % len(there)] for i in range(seats)]
        rng = Random(f"cast/{role}/{task.id}")
        odds = [exp(agent.rating) if self.kind == "rating" else 1.0 for agent in there]
        # Whose bell rings first, at such rates, is a draw without replacement with such odds.
        bells = sorted((rng.expovariate(rate), i) for i, rate in enumerate(odds))
        return [there[i] for _, i in bells[:seats]]


Casting = Annotated[Everybody | Some, Field(discriminator="kind")]
EVERYBODY = Everybody()
