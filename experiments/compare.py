"""Runs side by side: what they were set to, what came of them, what one gained over the first."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from moot.agents.errors import InputError

from .directory import flat
from .report.evaluations import accuracies, improvement, paired, whole_cycles
from .report.readings import Readings
from .report.words import count, measured, signed
from .stats import Interval

OWN = ("name", "made_with")
"""What differs between any two runs."""
NOTHING = "–"
FIRST = "held_out/"
"""What the metrics of a comparison begin with."""

Cells = tuple[str, ...]
"""A line of the table: what it is about, and what it says of each run."""


def compare(runs: Sequence[Readings]) -> list[str]:
    """Return a table of runs, the first being what the others are set beside.

    Settings that differ; held-out accuracy of the untrained and the trained, and its change, paired
    by task; the same beside the first run, over the tasks that both were asked; and of every other
    metric that is not per step what it last was.

    Raises:
        InputError: there is but one run, or one is named twice.
    """
    if len({run.path.resolve() for run in runs}) < max(2, len(runs)):
        raise InputError("moot compare: name two runs or more, each once")
    blocks = [
        [("", *titles(runs))],
        _settings(runs),
        [_line("held-out accuracy, untrained", runs, _at(min)), *_outcomes(runs)],
        [*_beside(runs)],
        [*_metrics(runs)],
    ]
    return aligned(block for block in blocks if block)


def titles(runs: Sequence[Readings]) -> list[str]:
    """Return what the runs are called: their directories' names, in full where two are alike."""
    names = [run.path.resolve().name for run in runs]
    return names if len(set(names)) == len(names) else [str(run.path) for run in runs]


def aligned(blocks: Iterable[Sequence[Cells]]) -> list[str]:
    """Return the lines of a table whose columns stand under each other, a blank between blocks."""
    found = list(blocks)
    lines = [line for block in found for line in block]
    wide = [max(map(len, column)) for column in zip(*lines, strict=True)]
    said: list[str] = []
    for block in found:
        said += [""] if said else []
        said += [
            "  ".join(cell.ljust(n) for cell, n in zip(line, wide, strict=True)).rstrip()
            for line in block
        ]
    return said


def _line(name: str, runs: Iterable[Readings], cell: Callable[[Readings], str | None]) -> Cells:
    return (name, *(cell(run) or NOTHING for run in runs))


def _settings(runs: Sequence[Readings]) -> list[Cells]:
    """Return the settings in which the runs differ."""
    each = [flat({k: v for k, v in run.experiment.items() if k not in OWN}) for run in runs]
    keys = sorted({key for settings in each for key in settings})
    lines = ((key, *(_setting(settings, key) for settings in each)) for key in keys)
    return [line for line in lines if len({*line[1:]}) > 1]


def _setting(settings: Mapping[str, Any], key: str) -> str:
    said = str(settings.get(key, NOTHING)).splitlines() or [""]
    return said[0] if len(said) == 1 and len(said[0]) <= 40 else f"{said[0][:37]}..."


def _at(which: Callable[[Iterable[int]], int]) -> Callable[[Readings], str | None]:
    """Return what says the held-out accuracy of the first (`min`) or last (`max`) evaluation."""

    def cell(run: Readings) -> str | None:
        found = whole_cycles(run.metrics, "held_out/accuracy")
        return measured(found[which(found)]) if found else None

    return cell


def _outcomes(runs: Sequence[Readings]) -> Iterator[Cells]:
    """Yield what came of each run by itself."""

    def change(run: Readings) -> Interval | None:
        return improvement(run, min(run.held_out), max(run.held_out)) if run.held_out else None

    def after(run: Readings) -> str:
        return count(max(run.held_out, default=0), "cycle")

    yield _line("held-out accuracy, in the end", runs, _at(max))
    yield _line("after", runs, after)
    yield _line("change", runs, lambda run: _signed(change(run)))


def _beside(runs: Sequence[Readings]) -> Iterator[Cells]:
    """Yield how much more accurate each is in the end than the first, and over how many tasks."""
    first, *others = [
        accuracies(run.held_out[max(run.held_out)]) if run.held_out else {} for run in runs
    ]
    yield (
        f"over {titles(runs)[0]}, in the end",
        NOTHING,
        *(_signed(paired(first, other, runs[0].seed)) or NOTHING for other in others),
    )
    shared = (str(len(first.keys() & other.keys())) for other in others)
    yield ("tasks that both were asked", NOTHING, *shared)


def _signed(difference: Interval | None) -> str | None:
    return signed(difference) if difference else None


def _metrics(runs: Sequence[Readings]) -> Iterator[Cells]:
    """Yield what every other metric last was, but for those of one of several weights."""
    names = {row["name"] for run in runs for row in run.metrics if row["step"] is None}
    names = {name for name in names if "@" not in name}
    for name in sorted(names - {"held_out/accuracy"}, key=lambda n: (not n.startswith(FIRST), n)):
        each = [whole_cycles(run.metrics, name) for run in runs]
        yield (name, *(_value(found[max(found)]) if found else NOTHING for found in each))


def _value(metric: Interval) -> str:
    """Return a metric of any size, with its interval where it has one."""
    value, low, high = metric
    if low == high == value:
        return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3g}"
    return (
        measured(metric)
        if max(map(abs, metric)) < 10
        else f"{value:,.0f} [{low:,.0f}, {high:,.0f}]"
    )
