"""Runs side by side: what they were set to, what came of them, what one gained over the first."""

from collections.abc import Iterator, Sequence

from moot.agents.errors import InputError

from ..report.readings import Readings
from ..report.words import count, measured, of_any_size, signed
from .outcome import UNLIKE, last, metrics, outcome
from .settings import Settings, differing, titles
from .table import Blocks, Line, numbers, words


def side_by_side(runs: Sequence[Readings]) -> Blocks:
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
    return [
        [words("", names)],
        differing([*map(Settings.of, runs)]),
        [*_outcomes(runs, names[0])],
        [numbers(name, (last(run, name) for run in runs), of_any_size) for name in metrics(runs)],
    ]


def _outcomes(runs: Sequence[Readings], first_name: str) -> Iterator[Line]:
    """Yield what came of each run by itself, and then beside the first."""
    found = [outcome(run) for run in runs]
    first, *others = found
    if not any(o.after for o in found):  # no answer is known to anything
        yield words("after", (count(o.cycles, "cycle") for o in found))
        return
    yield numbers("held-out accuracy, untrained", (o.before for o in found), measured)
    yield numbers("held-out accuracy, in the end", (o.after for o in found), measured)
    yield words("after", (count(o.cycles, "cycle") for o in found))
    yield numbers("change", (o.change for o in found), signed)
    gains = (None, *(o.over(first) for o in others))
    yield numbers(f"over {first_name}, in the end", gains, signed)
    yield words("tasks that both were asked", (None, *(str(o.both(first)) for o in others)))
    unlike = [o.unlike(first) for o in others]
    if any(unlike):
        yield words(UNLIKE, (None, *map(str, unlike)))
