"""Evaluations: what they give, and what lies between two of them."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean

from ..stats import FEWEST, Interval, paired_difference
from .readings import Readings, Row, rows


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
    before, after = (accuracies(readings.held_out[n]) for n in (first, last))
    return paired(before, after, readings.seed)


def over_baseline(readings: Readings, last: int) -> Interval | None:
    """Return how much more accurate a single trained answer is than the untrained model's vote."""
    if readings.baseline is None or last not in readings.held_out:
        return None
    after = accuracies(readings.held_out[last])
    return paired(votes(readings.baseline), after, readings.seed)


def paired(before: Mapping[str, float], after: Mapping[str, float], seed: int) -> Interval | None:
    """Return the mean of `after` - `before` over the tasks of both; `None`: there are too few."""
    both = [task for task in before if task in after]
    if len(both) < FEWEST:
        return None
    return paired_difference([before[t] for t in both], [after[t] for t in both], seed)


def votes(folder: Path) -> dict[str, float]:
    """Return for each task whose answer is known the share of right votes on it."""
    right: dict[str, list[bool]] = {}
    for episode in rows(folder / "episodes.parquet", ["task", "expected", "correct"]):
        if episode["expected"] is not None:
            right.setdefault(episode["task"], []).append(bool(episode["correct"]))
    return {task: fmean(found) for task, found in right.items()}


def accuracies(folder: Path) -> dict[str, float]:
    """Return the share of right answers to each task whose answer is known."""
    known = {
        e["episode"]: e["task"]
        for e in rows(folder / "episodes.parquet", ["episode", "task", "expected"])
        if e["expected"] is not None
    }
    right: dict[str, list[bool]] = {}
    for turn in rows(folder / "turns.parquet", ["episode", "role", "correct"]):
        if turn["episode"] in known and turn["role"] == "policy":
            right.setdefault(known[turn["episode"]], []).append(bool(turn["correct"]))
    return {task: fmean(answers) for task, answers in right.items()}
