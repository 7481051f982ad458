"""Intervals: how far a mean over tasks might have come out otherwise.

Percentile bootstrap (Efron, 1979), with tasks as the units that are drawn anew: answers to one task
resemble each other, so they are averaged before they come here.  The bootstrap can't see what the
sample doesn't hold: values that are all alike get an interval of no width, unless their bounds are
known.

With few tasks that is too narrow: resamples spread √((n - 1)/n) as far as samples do, and how far
these spread is itself estimated.  So percentiles further out are taken, as far as Student's t goes
(Hesterberg, 2015, "What Teachers Should Know About the Bootstrap", The American Statistician 69).
How often such intervals find what isn't there is in docs/influence.md.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from math import inf, sqrt
from statistics import fmean, stdev
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

RESAMPLES = 2_000
FEWEST = 8
"""Tasks there must be before anything is claimed of a difference."""


class Interval(NamedTuple):
    """A mean and where it lies, at the level asked for."""

    value: float
    low: float
    high: float


def resampled_all(
    units: Sequence[T], statistics: Callable[[Sequence[T]], Mapping[str, float]], seed: int
) -> dict[str, Interval]:
    """Return several statistics of `units`, by name, each with its 95 % bootstrap interval."""

    def drawn(times: NDArray[np.int64]) -> Mapping[str, float]:
        each = zip(units, times.tolist(), strict=True)
        return statistics([unit for unit, n in each for _ in range(n)])

    return resampled_times(len(units), drawn, seed)


def resampled_sums(
    counts: Sequence[Sequence[float]],
    statistics: Callable[[Sequence[float]], Mapping[str, float]],
    seed: int,
) -> dict[str, Interval]:
    """Return several statistics of the sums of what was counted, each with its interval.

    Args:
        counts: the same counts of each unit; units are drawn anew.
        statistics: of each count's sum.
        seed: of the resampling.
    """
    if not len(counts):
        return {}
    table = np.asarray(counts)
    return resampled_times(len(table), lambda times: statistics((times @ table).tolist()), seed)


def resampled_times(
    n: int, statistics: Callable[[NDArray[np.int64]], Mapping[str, float]], seed: int
) -> dict[str, Interval]:
    """Return several statistics of `n` units, each with its interval.

    Args:
        n: how many are drawn, of so many.
        statistics: of (n,) how often each was drawn; once, of all, it is 1.
        seed: of the resampling.
    """
    whole, found = statistics(np.ones(n, dtype=np.int64)), dict[str, list[float]]()
    rng = np.random.default_rng(seed)
    for _ in range(RESAMPLES // 4 if whole else 0):  # a statistic of its own costs more than a mean
        for name, value in statistics(np.bincount(rng.integers(0, n, n), minlength=n)).items():
            found.setdefault(name, []).append(value)
    tail = _tail(n, 0.95) if found else 0.0
    ends = {name: np.quantile(found[name], (tail, 1 - tail)) for name in whole if name in found}
    return {
        name: Interval(whole[name], float(low), float(high)) for name, (low, high) in ends.items()
    }


def contrast(units: Iterable[Iterable[tuple[float, bool]]]) -> int:
    """Return how many units hold something right, or something wrong: the fewer of the two.

    How well scores tell the two apart rests on the rarer one: drawn anew, a single wrong reply is
    the same each time, and the interval has hardly any width.

    Args:
        units: what is drawn anew: scores, each with whether what it is of is right.
    """
    held = [{right for _, right in unit} for unit in units]
    return min(sum(truth in both for both in held) for truth in (True, False))


def mean_interval(
    values: Sequence[float],
    seed: int,
    level: float = 0.95,
    within: tuple[float, float] | None = None,
) -> Interval | None:
    """Return the mean of `values` with its bootstrap interval; `None`: there are no values.

    Args:
        values: one for each task.
        seed: of the resampling; equal values with equal seeds get equal intervals.
        level: how often such an interval is to hold the truth, in (0, 1).
        within: the least and the greatest that a value can be, which tell how far the mean may lie
            from values that are all alike; `None`: they can be anything.
    """
    if not len(values):
        return None
    sample = np.asarray(values, dtype=np.float64)
    rng, n = np.random.default_rng(seed), len(sample)
    if within is not None and (sample == sample[0]).all():
        return _alike(float(sample[0]), n, level, within)
    means = [sample[rng.integers(0, n, n)].mean() for _ in range(RESAMPLES)]
    tail = _tail(n, level)
    low, high = np.quantile(means, (tail, 1 - tail))
    return Interval(float(sample.mean()), float(low), float(high))


def mean_by_unit(
    values: Iterable[tuple[str, float]], seed: int, within: tuple[float, float]
) -> Interval | None:
    """Return the mean over units of their means, with its interval; `None`: fewer than 8 units.

    Args:
        values: each with the name of its unit.
        seed: of the resampling.
        within: the least and the greatest that a value can be.
    """
    units: dict[str, list[float]] = {}
    for unit, one in values:
        units.setdefault(unit, []).append(one)
    if len(units) < FEWEST:
        return None
    return mean_interval([*map(fmean, units.values())], seed, within=within)


def not_certain(found: Interval, n: int, within: tuple[float, float] = (0, 1)) -> Interval:
    """Return a bootstrap interval, wider where its value is at the end of what it can be.

    There all units are alike, and none that are drawn anew are otherwise.

    Args:
        found: the interval.
        n: the units that tell of it.
        within: the least and the greatest that the value can be.
    """
    return _alike(found.value, n, 0.95, within) if found.value in within else found


def _alike(value: float, n: int, level: float, within: tuple[float, float]) -> Interval:
    """Return `n` tasks' mean where all have the same value, and how far it may lie from that.

    At least a share p of all tasks has it (Clopper and Pearson, 1934), while the others may lie at
    either end: right answers to all of 8 tasks are 1 [.63, 1], and no difference in any is 0 ± .37.
    """
    p = ((1 - level) / 2) ** (1 / n)
    low, high = (p * value + (1 - p) * end for end in within)
    return Interval(value, low, high)


def over_seeds(values: Sequence[float], within: tuple[float, float] | None = None) -> Interval:
    """Return the mean of `values` with its 95 % interval by Student's t.

    Args:
        values: one for each seed, at least one; a single one has no interval.
        within: the least and the greatest that a value can be; `None`: they can be anything.
    """
    from scipy.special import stdtrit  # it takes a while: not for `moot --help`

    mean, n = fmean(values), len(values)
    reach = float(stdtrit(n - 1, 0.975)) * stdev(values) / sqrt(n) if n > 1 else 0.0
    least, most = within or (-inf, inf)
    return Interval(mean, max(least, mean - reach), min(most, mean + reach))


@cache
def _tail(n: int, level: float) -> float:
    """Return the share of draws beyond either end: Φ(t·√(n/(n - 1))), with t of n - 1 degrees."""
    from scipy.special import ndtr, stdtrit  # it takes a while: not for `moot --help`

    if n < 2:  # all draws are alike
        return 0.0
    return float(ndtr(stdtrit(n - 1, (1 - level) / 2) * sqrt(n / (n - 1))))


def paired_difference(
    before: Sequence[float], after: Sequence[float], seed: int
) -> Interval | None:
    """Return the mean of `after` - `before`, task by task, with its interval; `None`: no tasks.

    Both are shares.  Pairing takes out how hard each task is, so the interval is narrower than the
    two apart.

    Raises:
        ValueError: the two are not of the same tasks, for they differ in number.
    """
    gains = [b - a for a, b in zip(before, after, strict=True)]
    return mean_interval(gains, seed, within=(-1, 1))
