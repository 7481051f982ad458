"""Runs side by side: what they were set to, what came of them, what one gained over the first."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moot.agents.errors import InputError

from .analysis.stats import Interval
from .files.directory import flat
from .report.evaluations import accuracies, expected, paired, pooled, trained, whole_cycles
from .report.readings import Readings
from .report.words import count, measured, signed, value

MADE = ("tasks", "file", "replay")
"""What of `made_with` is set side by side too: fingerprints, and what is replayed."""
HIDDEN = ("held_out/", "baseline/", "swap/", "train/")
"""Metrics of which those of each of several weights (`@NAME`) are left out."""
NOTHING = "–"
WIDE = 40
"""So many characters of a setting are shown."""

Cells = tuple[str, ...]
"""A line of the table: what it is about, and what it says of each run."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run, as far as it was evaluated."""

    cycles: int
    """After how many cycles it was last evaluated."""
    before: Interval | None
    """Held-out accuracy of the untrained weights."""
    after: Interval | None
    """The same in the end."""
    change: Interval | None
    """What lies between, paired by task; `None`: there aren't two evaluations, or no weights were
    trained between them."""
    tasks: Mapping[str, float]
    """In the end, by task."""
    known: Mapping[str, str]
    """What the right answer to each task was held to be."""

    def beside(self, first: "Outcome") -> dict[str, float]:
        """Return what it came to on those of `first`'s tasks that are held to have its answer.

        A task is called by its question alone, so a file that was corrected has tasks of the same
        name, of which other answers are right.
        """
        known = first.known
        return {t: share for t, share in self.tasks.items() if known.get(t) == self.known[t]}


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
    names = titles(runs)
    blocks = [[("", *names)], settings(runs), [*_outcomes(runs, names[0])], [*_metrics(runs)]]
    return aligned(block for block in blocks if block)


def titles(runs: Sequence[Readings]) -> list[str]:
    """Return what the runs are called: their directories' names, in full where two are alike."""
    names = [run.path.resolve().name for run in runs]
    return names if len(set(names)) == len(names) else [str(run.path) for run in runs]


def settings(runs: Sequence[Readings]) -> list[Cells]:
    """Return the settings in which the runs differ, and what else they were made with."""
    each: list[Mapping[str, Any]] = []
    for run in runs:
        own = {k: v for k, v in run.experiment.items() if k not in ("name", "made_with")}
        made = run.experiment.get("made_with") or {}
        each.append(flat(own) | {f"made_with.{k}": made[k] for k in MADE if k in made})
    keys = dict.fromkeys(key for some in each for key in some)
    lines = ((key, *shortened([str(some.get(key, NOTHING)) for some in each])) for key in keys)
    return [line for line in lines if len({*line[1:]}) > 1]


def shortened(said: Sequence[str]) -> list[str]:
    """Return each on one line of a bearable length, from where they begin to differ if need be."""
    lines = [" ".join(one.split()) if "\n" in one else one for one in said]
    if max(map(len, lines)) <= WIDE:
        return lines
    unlike = (i for i, letters in enumerate(zip(*lines, strict=False)) if len({*letters}) > 1)
    start = max(0, next(unlike, min(map(len, lines))) - WIDE // 4)
    cut = [line[start : start + WIDE] for line in lines]
    return [
        f"{'…' if start else ''}{part}{'…' if start + WIDE < len(line) else ''}"
        for part, line in zip(cut, lines, strict=True)
    ]


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


def outcome(run: Readings) -> Outcome:
    """Return what came of a run, by its complete evaluations."""
    known = whole_cycles(run.metrics, "held_out/accuracy")
    if not run.held_out:
        return Outcome(0, None, None, None, {}, {})
    first, last = min(run.held_out), max(run.held_out)
    before, tasks = pooled(accuracies(run.held_out[first]), accuracies(run.held_out[last]))
    change = paired(before, tasks, run.seed) if first < last and trained(run) else None
    right = expected(run.held_out[last])
    return Outcome(last, known.get(first), known.get(last), change, tasks, right)


def _outcomes(runs: Sequence[Readings], first_name: str) -> Iterator[Cells]:
    """Yield what came of each run by itself, and then beside the first."""
    found = [outcome(run) for run in runs]
    first, *others = found

    def line(name: str, cells: Iterable[str | None]) -> Cells:
        return (name, *(cell or NOTHING for cell in cells))

    def difference(interval: Interval | None) -> str | None:
        return signed(interval) if interval else None

    yield line("held-out accuracy, untrained", (o.before and measured(o.before) for o in found))
    yield line("held-out accuracy, in the end", (o.after and measured(o.after) for o in found))
    yield line("after", (count(o.cycles, "cycle") for o in found))
    yield line("change", (difference(o.change) for o in found))
    both = [o.beside(first) for o in others]
    gains = (difference(paired(first.tasks, tasks, runs[0].seed)) for tasks in both)
    yield line(f"over {first_name}, in the end", (None, *gains))
    shared = [len(first.tasks.keys() & tasks.keys()) for tasks in both]
    yield line("tasks that both were asked", (None, *map(str, shared)))
    asked = (len(first.tasks.keys() & o.tasks.keys()) for o in others)
    unlike = [n - m for n, m in zip(asked, shared, strict=True)]
    if any(unlike):
        yield line("left out, for other answers are right", (None, *map(str, unlike)))


def _metrics(runs: Sequence[Readings]) -> Iterator[Cells]:
    """Yield what every other metric last was; evaluations come first."""
    names = {row["name"] for run in runs for row in run.metrics if row["step"] is None}
    names -= {name for name in names if "@" in name and name.startswith(HIDDEN)}
    for name in sorted(
        names - {"held_out/accuracy"}, key=lambda n: (not n.startswith("held_out/"), n)
    ):
        each = [whole_cycles(run.metrics, name) for run in runs]
        yield (name, *(_told(found[max(found)]) if found else NOTHING for found in each))


def _told(metric: Interval) -> str:
    """Return a metric of any size, with its interval where it has one."""
    if metric.low == metric.high == metric.value:
        return value(metric.value)
    if max(map(abs, metric)) < 10:
        return measured(metric)
    return f"{value(metric.value)} [{value(metric.low)}, {value(metric.high)}]"
