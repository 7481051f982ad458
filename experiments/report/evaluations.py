"""Evaluations: what they give, and what lies between two of them."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean

from ..analysis.stats import FEWEST, Interval, paired_difference
from ..files.directory import examinee
from .readings import Readings, Row, rows

Answered = tuple[str, str]
"""A task, and who of several examinees answered it."""
Shares = Mapping[Answered, float]
"""How many of the answers are right, in [0, 1]."""


def whole_cycles(metrics: Iterable[Row], name: str) -> dict[int, Interval]:
    """Return a metric that is not per step, by cycle; without an interval it is a bare value."""
    return {
        row["cycle"]: Interval(
            row["value"],
            row["value"] if row["low"] is None else row["low"],
            row["value"] if row["high"] is None else row["high"],
        )
        for row in metrics
        if row["name"] == name and row["step"] is None
    }


def trained(readings: Readings) -> bool:
    """Return whether any weights were trained."""
    return any(readings.path.glob("cycle-*/weights/*"))


def improvement(readings: Readings, first: int, last: int) -> Interval | None:
    """Return the paired difference of accuracy between two evaluations; `None`: not to be told."""
    if first not in readings.held_out or last not in readings.held_out:
        return None
    before, after = pooled(*(accuracies(readings.held_out[n]) for n in (first, last)))
    return paired(before, after, readings.seed)


def over_baseline(readings: Readings, last: int) -> Interval | None:
    """Return how much more accurate a single trained answer is than the untrained model's vote."""
    if readings.baseline is None or last not in readings.held_out:
        return None
    before, after = pooled(votes(readings.baseline), accuracies(readings.held_out[last]))
    return paired(before, after, readings.seed)


def paired(before: Mapping[str, float], after: Mapping[str, float], seed: int) -> Interval | None:
    """Return the mean of `after` - `before` over the tasks of both; `None`: there are too few."""
    both = [task for task in before if task in after]
    if len(both) < FEWEST:
        return None
    return paired_difference([before[t] for t in both], [after[t] for t in both], seed)


def pooled(*evaluations: Shares) -> list[dict[str, float]]:
    """Return, by task, the mean over the examinees of each evaluation.

    Tasks are left out that not everybody answered who is in any of the evaluations: where a weak
    one's episodes fail, those who remain are not an improvement.
    """
    who = {name for shares in evaluations for _, name in shares}

    def means(shares: Shares) -> dict[str, float]:
        tasks: dict[str, list[float]] = {}
        for (task, _), share in shares.items():
            tasks.setdefault(task, []).append(share)
        return {task: fmean(some) for task, some in tasks.items() if len(some) == len(who)}

    return [*map(means, evaluations)]


def votes(folder: Path) -> Shares:
    """Return the share of right votes on each task whose answer is known."""
    right: dict[Answered, list[bool]] = {}
    for episode in rows(folder / "episodes.parquet", ["episode", "task", "expected", "correct"]):
        if episode["expected"] is not None:
            right.setdefault(_answered(episode), []).append(bool(episode["correct"]))
    return {of: fmean(found) for of, found in right.items()}


def accuracies(folder: Path) -> Shares:
    """Return the share of right answers to each task whose answer is known."""
    known = {
        e["episode"]: _answered(e)
        for e in rows(folder / "episodes.parquet", ["episode", "task", "expected"])
        if e["expected"] is not None
    }
    right: dict[Answered, list[bool]] = {}
    for turn in rows(folder / "turns.parquet", ["episode", "role", "correct"]):
        if turn["episode"] in known and turn["role"] == "policy":
            right.setdefault(known[turn["episode"]], []).append(bool(turn["correct"]))
    return {of: fmean(answers) for of, answers in right.items()}


def expected(folder: Path) -> dict[str, str]:
    """Return the known answers, by task."""
    episodes = rows(folder / "episodes.parquet", ["task", "expected"])
    return {e["task"]: e["expected"] for e in episodes if e["expected"] is not None}


def _answered(episode: Row) -> Answered:
    """Return the task of an episode, and the examinee."""
    return episode["task"], examinee(episode["episode"], episode["task"])
