"""Who is examined, on what, and what was measured of it."""

from moot.agents.population import Agent
from moot.agents.task import Task
from moot.protocols.journal import Metric
from moot.protocols.verifiers import VERIFIERS

NUMBER = VERIFIERS["number"]
PUPILS = (
    Agent("pupil-0", "policy", "main", weights="pupil"),
    Agent("pupil-1", "policy", "main", weights="pupil"),
    Agent("elder", "policy", "main"),
)
TASKS = [Task("t1", "1 + 1?", "2", NUMBER), Task("t2", "1 + 2?", "3", NUMBER)]


def value(metrics: list[Metric], name: str) -> float:
    [found] = [m.value for m in metrics if m.name == name]
    return found
