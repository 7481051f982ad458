"""Runs that differ in nothing but the seed, as one: means over seeds, and how far these reach.

The intervals of a single run are over its tasks and know nothing of the weights that another seed
would have trained.  Here a run counts as one value, and the interval is Student's t over seeds.
Runs of the same seed have the same split, and are paired: their difference is first taken by task.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from moot.agents.errors import InputError

from ..analysis.stats import Interval, over_seeds
from ..files.directory import FREE
from ..report.readings import Readings
from ..report.words import count, measured, of_any_size, signed
from .outcome import UNLIKE, Outcome, last, metrics, outcome
from .settings import Settings, differing, titles
from .table import NOTHING, Blocks, Cell, Line, words


@dataclass(frozen=True, slots=True)
class Variant:
    """One experiment, under several seeds."""

    runs: Mapping[int, Readings]
    """By seed, ascending."""
    settings: Settings
    """All that decides what comes of it, but for the seed."""

    @property
    def title(self) -> str:
        """What its runs are called but for the seed, or what the first is called."""
        names = titles([*self.runs.values()])
        if len(names) == 1:
            return names[0]
        each = zip(names, self.runs, strict=True)
        stems = {name.removesuffix(str(seed)).rstrip("-_. ") for name, seed in each}
        return names[0] if len(stems) > 1 else stems.pop() or names[0]


def by_seed(runs: Sequence[Readings]) -> Blocks:
    """Return a table of experiments, each over its seeds; the first is what others are set beside.

    Raises:
        InputError: fewer than two runs, or two that differ in nothing.
    """
    if len(runs) < 2:
        raise InputError("moot compare --seeds: name two runs or more")
    variants = grouped(runs)
    names = [variant.title for variant in variants]
    if len({*names}) < len(names):
        names = titles([next(iter(v.runs.values())) for v in variants])
    return [
        [words("", names), words("seeds", (_listed([*v.runs]) for v in variants))],
        differing([v.settings for v in variants]),
        [*_outcomes(variants, names[0])],
        [
            _line(name, ([last(run, name) for run in v.runs.values()] for v in variants))
            for name in metrics(runs)
        ],
    ]


def grouped(runs: Sequence[Readings]) -> list[Variant]:
    """Return the runs by experiment, as they come.

    Raises:
        InputError: two differ in nothing.
    """
    found: list[tuple[Settings, dict[int, Readings]]] = []
    for run in runs:
        own = Settings.of(run).as_told(_but_for_the_seed)
        seeds = next((runs for settings, runs in found if settings == own), None)
        if seeds is None:
            seeds = dict[int, Readings]()
            found.append((own, seeds))
        if run.seed in seeds:
            raise InputError(
                f"moot compare --seeds: {seeds[run.seed].path} and {run.path} are the same "
                f"experiment with the same seed, {run.seed}: a seed counts once"
            )
        seeds[run.seed] = run
    return [Variant(dict(sorted(seeds.items())), settings) for settings, seeds in found]


def _but_for_the_seed(key: str, leaf: str) -> str | None:
    """Return what a setting decides whatever the seed is; `None`: nothing."""
    if key == "made_with.replay":  # of another run with each seed
        return leaf.partition("; ")[2] or "nothing changed"
    aside = key in ("seed", "made_with.tasks") or FREE.fullmatch(key)
    return None if aside else leaf


def _outcomes(variants: Sequence[Variant], first_name: str) -> Iterator[Line]:
    """Yield what came of each experiment by itself, and then beside the first, seed by seed."""
    found = [{seed: outcome(run) for seed, run in v.runs.items()} for v in variants]
    first, *others = found
    each = [[*some.values()] for some in found]
    share = (measured, (0, 1))
    if not any(o.after for one in each for o in one):  # no answer is known to anything
        yield words("after", (_cycles(some) for some in each))
        return
    yield _line("held-out accuracy, untrained", ([o.before for o in e] for e in each), *share)
    yield _line("held-out accuracy, in the end", ([o.after for o in e] for e in each), *share)
    yield words("after", (_cycles(some) for some in each))
    difference = (signed, (-1, 1))
    yield _line("change", ([o.change for o in e] for e in each), *difference)
    if others:
        gains = [
            [o.over(first[seed]) if seed in first else None for seed, o in some.items()]
            for some in others
        ]
        yield _line(f"over {first_name}, in the end", [[], *gains], *difference)
        pairs = [[(o, first[seed]) for seed, o in some.items() if seed in first] for some in others]
        both = (sum(o.both(one) for o, one in some) for some in pairs)
        yield words("tasks that both were asked", (None, *map(str, both)))
        unlike = [sum(o.unlike(one) for o, one in some) for some in pairs]
        if any(unlike):
            yield words(UNLIKE, (None, *map(str, unlike)))


def _line(
    name: str,
    found: Iterable[Sequence[Interval | None]],
    told: Callable[[Interval], str] = of_any_size,
    within: tuple[float, float] | None = None,
) -> Line:
    """Return a line of means, each with how many runs it is of where some lack the number."""
    cells: list[Cell] = []
    for each in found:
        known = [one.value for one in each if one is not None]
        mean = over_seeds(known, within) if known else None
        few = f" (of {len(known)})" if len(known) < len(each) else ""
        cells.append(Cell(NOTHING) if mean is None else Cell(told(mean) + few, mean, len(known)))
    return Line(name, tuple(cells))


def _cycles(found: Sequence[Outcome]) -> str:
    """Return after how many cycles runs were last evaluated."""
    least, most = (pick(o.cycles for o in found) for pick in (min, max))
    return count(most, "cycle") if least == most else f"{least} to {most} cycles"


def _listed(seeds: Sequence[int]) -> str:
    """Return seeds in ascending order in short: `0 to 4`, or `1, 5, 7`."""
    if len(seeds) > 2 and seeds[-1] - seeds[0] == len(seeds) - 1:
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds))
