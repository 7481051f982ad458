"""Held-out evaluation: what the policies answer to tasks they never learnt from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from pydantic import Field

from moot.agents.population import Agent, Population
from moot.agents.types import Settings, Task
from moot.protocols.consensus import Consensus
from moot.protocols.journal import Metric
from moot.protocols.types import Episode

if TYPE_CHECKING:
    from moot.protocols.stage import Stage


class Evaluation(Settings):
    """How the policies are measured before the first cycle and after each."""

    samples: int = Field(default=4, ge=1, le=1000)
    """Answers each learning policy (one agent for each weights) gives to each held-out task."""
    baseline: bool = True
    """Whether the untrained model votes once more at the compute that the whole run spent."""
    baseline_votes: int = Field(default=64, ge=1, le=10_000)
    """The most votes the baseline casts for a task; a majority hardly moves beyond."""


def examinees(people: Population) -> dict[str, Agent]:
    """Return who is evaluated: one agent for each learned weights, else every policy."""
    learners = {name: agents[0] for name, agents in people.learners().items()}
    return learners or {agent.name: agent for agent in people.playing("policy")}


async def evaluate(
    stage: Stage,
    tasks: Sequence[Task],
    people: Population,
    samples: int,
    *,
    cycle: int,
    phase: str,
    out: Path,
) -> list[Metric]:
    """Ask the examinees every task `samples` times, write it down, and return the metrics.

    A task counts as a mean over its answers (accuracy) and as one vote (majority).  An answer that
    can't be read isn't right; how many there were is reported beside, and so are the episodes that
    failed: those are not part of any mean.
    """
    from .store import write_episodes

    found: dict[str, list[Episode]] = {}
    failed = 0
    who = examinees(people)
    for name, agent in who.items():
        alone = Population((agent,))
        label = phase if len(who) == 1 else f"{phase}@{name}"
        played = stage.play(Consensus(samples=samples), tasks, alone, label)
        results = [result async for result in played]
        episodes = [e for e in results if isinstance(e, Episode)]
        failed += len(results) - len(episodes)
        found[name] = sorted(episodes, key=lambda episode: episode.id)
    everything = [episode for episodes in found.values() for episode in episodes]
    write_episodes(out, cycle, everything)
    metrics = summary(everything, cycle, stage.seed)
    metrics.append(Metric(cycle, "held_out/failed_episodes", failed))
    if len(found) > 1:
        for name, episodes in found.items():
            metrics += summary(episodes, cycle, stage.seed, suffix=f"@{name}")
    return metrics


def summary(episodes: Sequence[Episode], cycle: int, seed: int, suffix: str = "") -> list[Metric]:
    """Return accuracy, majority vote and unreadable share, with bootstrap intervals over tasks."""
    from .stats import mean_interval

    tasks: dict[str, list[Episode]] = {}
    for episode in episodes:
        tasks.setdefault(episode.task.id, []).append(episode)
    known = [same for same in tasks.values() if same[0].task.answer is not None]
    columns = {
        "accuracy": [fmean(map(accuracy, same)) for same in known],
        "majority": [fmean(bool(e.correct) for e in same) for same in known],
        "unreadable": [fmean(map(unreadable, same)) for same in tasks.values()],
        "tokens": [fmean(map(spent, same)) for same in tasks.values()],
    }
    metrics: list[Metric] = []
    for name, values in columns.items():
        interval = mean_interval(values, seed)
        if interval is not None:
            metrics.append(Metric(cycle, f"held_out/{name}{suffix}", *interval))
    return metrics


def accuracy(episode: Episode) -> float:
    """Return the share of an episode's answers that are right."""
    return fmean(bool(episode.task.correct(turn.answer)) for turn in episode.turns)


def unreadable(episode: Episode) -> float:
    """Return the share of an episode's answers that can't be read."""
    return fmean(turn.answer is None for turn in episode.turns)


def spent(episode: Episode) -> float:
    """Return the mean tokens, in and out, of an episode's answers."""
    return fmean(t.completion.tokens_in + t.completion.tokens_out for t in episode.turns)


async def baseline(
    stage: Stage,
    tasks: Sequence[Task],
    people: Population,
    settings: Evaluation,
    metrics: Sequence[Metric],
    *,
    cycle: int,
    out: Path,
) -> list[Metric]:
    """Return how right a majority vote of the untrained policies is at the run's own compute.

    The run's compute is every token it talked with plus three times every token it trained on (a
    backward pass costs two forward passes).  Spread over the held-out tasks, it buys the untrained
    policy so many votes on each; `baseline_votes` bounds them.
    """
    from .stats import mean_interval
    from .store import write_episodes

    def total(name: str) -> float:
        return sum(m.value for m in metrics if m.name == name)

    run = total("talk/tokens") + 3 * total("train/tokens")
    vote = next(m.value for m in metrics if m.name == "held_out/tokens" and m.cycle == 0)
    affordable = max(1, int(run / (vote * len(tasks))))
    votes = min(affordable, settings.baseline_votes)
    agent = next(iter(examinees(people).values()))
    played = stage.play(Consensus(samples=votes), tasks, Population((agent,)), "baseline")
    episodes = sorted([e async for e in played if isinstance(e, Episode)], key=lambda e: e.id)
    write_episodes(out, 0, episodes)
    right = [float(bool(e.correct)) for e in episodes if e.task.answer is not None]
    interval = mean_interval(right, stage.seed)
    found = [Metric(cycle, "baseline/majority", *interval)] if interval else []
    return [
        *found,
        Metric(cycle, "baseline/votes", votes),
        Metric(cycle, "baseline/votes_affordable", affordable),
    ]
