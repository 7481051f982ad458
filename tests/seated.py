"""Who may be cast, and for what."""

import math

from moot.agents.population import Agent, Population
from moot.agents.task import Task
from moot.protocols.verifiers import VERIFIERS

PEOPLE = Population(
    (
        *(Agent(f"p{i}", "policy", "main", rating=math.log(i + 1)) for i in range(4)),
        *(Agent(f"j{i}", "judge", "main") for i in range(3)),
    )
)


def task(i: int) -> Task:
    return Task(f"t{i}", "?", None, VERIFIERS["exact"])
