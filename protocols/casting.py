"""Casting: who of a population plays an episode."""

from collections.abc import Callable, Iterator, Sequence
from math import ceil, exp, gcd
from random import Random
from typing import Annotated, Literal, get_args

from pydantic import Field

from moot.agents.errors import MootError
from moot.agents.population import Agent, Population, Role
from moot.agents.task import Task
from moot.agents.types import Settings

Seats = Annotated[int | None, Field(ge=1)]
Pick = Callable[[Role, Sequence[Agent], int], Sequence[Agent]]
"""Takes so many of those who are there for a role."""


class Everybody(Settings):
    """All play every episode."""

    kind: Literal["all"] = "all"

    def cast(self, people: Population, task: Task, number: int, seed: int) -> Population:
        """Return who plays."""
        return people

    def extremes(self, people: Population) -> Iterator[Population]:
        """Yield the one cast there is."""
        yield people

    def for_one(self, people: Population, agent: Agent) -> Population:
        """Return the one cast there is."""
        return people


class Some(Settings):
    """So many of each role play; the others sit the episode out.

    Who holds several roles has a seat by the first, and plays all of them if it is cast.
    """

    kind: Literal["sample", "round_robin", "rating"]
    """How a cast is chosen: drawn for each episode; in turn, so that all play equally often; or
    drawn with odds of e^rating, the Bradley-Terry strength that an agent's replies have shown in
    earlier cycles."""
    policies: Seats = None
    """How many play; all by default."""
    critics: Seats = None
    """How many play; all by default."""
    judges: Seats = None
    """How many play; all by default."""

    def cast(self, people: Population, task: Task, number: int, seed: int) -> Population:
        """Return who plays, in the population's order; the same episode has the same cast.

        Args:
            people: of whom they are taken.
            task: the episode's.
            number: how many episodes are before it, of all cycles.
            seed: the experiment's.

        Raises:
            MootError: there are fewer than there are seats.
        """
        if self.kind == "round_robin":
            return self._seated(people, _in_turn(number, seed))

        def drawn(role: Role, there: Sequence[Agent], seats: int) -> Sequence[Agent]:
            rng = Random(f"cast/{seed}/{number}/{role}/{task.id}")
            odds = [exp(agent.rating) if self.kind == "rating" else 1.0 for agent in there]
            # Whose bell rings first, at such rates, is a draw without replacement with such odds.
            bells = sorted((rng.expovariate(rate), i) for i, rate in enumerate(odds))
            return [there[i] for _, i in bells[:seats]]

        return self._seated(people, drawn)

    def extremes(self, people: Population) -> Iterator[Population]:
        """Yield a few casts, each of which must be able to play.

        In one or another everybody sits out who may, and as many of a role as may.
        """
        seats = self._seats(people)
        numbers = [ceil(len(there) / (len(there) - n)) for _, there, n in seats if n < len(there)]
        for number in range(max(numbers, default=1)):
            yield self._seated(people, _round(number))
        for role in get_args(Role):
            yield self._seated(people, _others_first(role))

    def for_one(self, people: Population, agent: Agent) -> Population:
        """Return a cast with an agent in it, and no other of its role before it if that may be."""
        order = {one.name: i for i, one in enumerate(people.agents)}

        def pick(_: Role, there: Sequence[Agent], seats: int) -> Sequence[Agent]:
            return sorted(there, key=lambda one: order[one.name] < order[agent.name])[:seats]

        return self._seated(people, pick)

    def _seated(self, people: Population, pick: Pick) -> Population:
        seats = self._seats(people)
        cast = {agent.name for role, there, n in seats for agent in pick(role, there, n)}
        return Population(tuple(agent for agent in people.agents if agent.name in cast))

    def _seats(self, people: Population) -> list[tuple[Role, Sequence[Agent], int]]:
        """Return who is there for each role, and how many of them play."""
        seats: dict[Role, int | None] = {
            "policy": self.policies,
            "critic": self.critics,
            "judge": self.judges,
        }
        found: list[tuple[Role, Sequence[Agent], int]] = []
        for role, n in seats.items():
            there = [agent for agent in people.agents if agent.role == role]
            if n is not None and n > len(there):
                raise MootError(
                    f"{n} are to play '{role}', which is the (first) role of {len(there)} agents"
                )
            found.append((role, there, len(there) if n is None else n))
        return found


Casting = Annotated[Everybody | Some, Field(discriminator="kind")]
EVERYBODY = Everybody()


def seating(
    casting: Casting, people: Population, tasks: Sequence[Task], seed: int, cycle: int
) -> Callable[[Task], Population]:
    """Return who plays which of a cycle's tasks."""
    number = {task.id: i for i, task in enumerate(tasks, cycle * len(tasks))}
    return lambda task: casting.cast(people, task, number[task.id], seed)


def _in_turn(number: int, seed: int) -> Pick:
    """Return those whose turn it is in the `number`-th episode.

    In a lap all of a role play equally often; in the next they come in another order, which is
    another for each role, so that it isn't always the same who meet.
    """

    def pick(role: Role, there: Sequence[Agent], seats: int) -> Sequence[Agent]:
        if not there:
            return ()
        lap, place = divmod(number, len(there) // gcd(len(there), seats))
        order = Random(f"cast/{seed}/{role}/{lap}").sample(there, len(there))
        return _round(place)(role, order, seats)

    return pick


def _others_first(role: Role) -> Pick:
    """Return those who don't play a role at all, before those who do."""

    def pick(_: Role, there: Sequence[Agent], seats: int) -> Sequence[Agent]:
        return sorted(there, key=lambda one: one.playing(role) is not None)[:seats]

    return pick


def _round(number: int) -> Pick:
    """Return those whose turn it is when the seats go round for the `number`-th time."""
    return lambda role, there, seats: [
        there[(number * seats + i) % len(there)] for i in range(seats)
    ]
