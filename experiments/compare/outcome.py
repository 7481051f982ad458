"""What came of a run, and how much more than of another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..analysis.stats import Interval
from ..report.evaluations import accuracies, expected, paired, pooled, trained, whole_cycles
from ..report.readings import Readings

HIDDEN = ("held_out/", "baseline/", "swap/", "train/")
"""Metrics of which those of each of several weights (`@NAME`) are left out."""
ACCURACY = "held_out/accuracy"
UNLIKE = "left out, for other answers are right"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run, as far as it was evaluated."""

    seed: int
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

    def over(self, first: "Outcome") -> Interval | None:
        """Return how much more accurate it is in the end than `first`, paired by task.

        `None`: there are too few tasks that both were asked.
        """
        return paired(first.tasks, self.beside(first), first.seed)

    def both(self, first: "Outcome") -> int:
        """Return of how many tasks that is."""
        return len(first.tasks.keys() & self.beside(first).keys())

    def unlike(self, first: "Outcome") -> int:
        """Return to how many more, that both were asked, other answers are right."""
        return len(first.tasks.keys() & self.tasks.keys()) - self.both(first)


def outcome(run: Readings) -> Outcome:
    """Return what came of a run, by its complete evaluations."""
    known = whole_cycles(run.metrics, ACCURACY)
    if not run.held_out:
        return Outcome(run.seed, 0, None, None, None, {}, {})
    first, last = min(run.held_out), max(run.held_out)
    before, tasks = pooled(accuracies(run.held_out[first]), accuracies(run.held_out[last]))
    change = paired(before, tasks, run.seed) if first < last and trained(run) else None
    right = expected(run.held_out[last])
    return Outcome(run.seed, last, known.get(first), known.get(last), change, tasks, right)


def metrics(runs: Sequence[Readings]) -> list[str]:
    """Return the names of every other metric that is not per step; evaluations come first."""
    names = {row["name"] for run in runs for row in run.metrics if row["step"] is None}
    names -= {name for name in names if "@" in name and name.startswith(HIDDEN)}
    return sorted(names - {ACCURACY}, key=lambda n: (not n.startswith("held_out/"), n))


def last(run: Readings, name: str) -> Interval | None:
    """Return what a metric last was; `None`: it never was."""
    found = whole_cycles(run.metrics, name)
    return found[max(found)] if found else None
