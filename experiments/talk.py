"""Talk: a cycle's tasks go through the protocol, and what was said becomes what is learnt."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from moot.agents.population import Population
from moot.agents.types import Task
from moot.protocols.journal import Metric
from moot.protocols.stage import Failure, Stage
from moot.protocols.types import Episode, Protocol
from moot.protocols.voting import plurality

from .store import write_episodes


async def talk(
    stage: Stage,
    protocol: Protocol,
    tasks: Sequence[Task],
    people: Population,
    *,
    cycle: int,
    out: Path,
) -> list[Episode]:
    """Play the cycle's episodes, write and measure them, and return them in the tasks' order."""
    played = [e async for e in stage.play(protocol, tasks, people, f"cycle-{cycle:03d}")]
    place = {task.id: i for i, task in enumerate(tasks)}
    episodes = sorted((e for e in played if isinstance(e, Episode)), key=lambda e: place[e.task.id])
    write_episodes(out, cycle, episodes)
    failed = sum(isinstance(e, Failure) for e in played)
    stage.journal.measure(
        [*measured(episodes, cycle), Metric(cycle, "talk/failed_episodes", failed)]
    )
    return episodes


def measured(episodes: Sequence[Episode], cycle: int) -> list[Metric]:
    """Return the means, over episodes, of what each noted and of how right its answers were."""
    columns: dict[str, list[float]] = {}
    for episode in episodes:
        for name, value in {**noted(episode), **episode.outcome.notes}.items():
            if value is not None:
                columns.setdefault(name, []).append(float(value))
    return [Metric(cycle, f"talk/{name}", fmean(values)) for name, values in columns.items()]


def noted(episode: Episode) -> dict[str, float | None]:
    """Return what can be said of any episode's policy answers, whatever the protocol."""
    task = episode.task
    policies = [turn for turn in episode.turns if turn.agent.role == "policy"]
    if not policies:
        return {}
    answers = [turn.answer for turn in policies]
    vote = plurality(answers)
    notes: dict[str, float | None] = {"unreadable": vote.unreadable / len(answers)}
    if task.answer is not None:
        notes["accuracy"] = fmean(bool(task.correct(answer)) for answer in answers)
        notes["majority_accuracy"] = float(bool(task.correct(vote.winner)))
        if episode.outcome.reference is not None:
            notes["reference_accuracy"] = float(bool(episode.correct))
    return notes
