"""Untrained: what a run showed in which the same weights were evaluated again and again."""

from collections.abc import Callable
from pathlib import Path
from statistics import fmean

from ..analysis.stats import Interval, mean_interval
from .evaluations import Shares, accuracies, pooled, votes
from .readings import Readings
from .words import count, measured


def untrained(readings: Readings) -> list[str]:
    """Return what all evaluations give together: what lies between two of them is chance."""
    said = "No weights were trained in this run"
    single, vote = over_all(readings, accuracies), over_all(readings, votes)
    if single is None or vote is None:
        return [f"{said}."]
    times = count(len(readings.held_out), "evaluation")
    samples = int(readings.experiment.get("evaluation", {}).get("samples") or 0)
    return [
        f"{said}: over {times} of the same ones the held-out accuracy is {measured(single)}.",
        *([f"A vote of {samples} such answers gives {measured(vote)}."] if samples > 1 else []),
    ]


def over_all(readings: Readings, shares: Callable[[Path], Shares]) -> Interval | None:
    """Return the mean over all evaluations, by task; `None`: there is no task that all answered.

    Args:
        readings: of the run.
        shares: of the right answers, or votes, in an evaluation's folder.
    """
    tasks: dict[str, list[float]] = {}
    for means in pooled(*map(shares, readings.held_out.values())):
        for task, mean in means.items():
            tasks.setdefault(task, []).append(mean)
    return mean_interval([*map(fmean, tasks.values())], readings.seed, within=(0, 1))
