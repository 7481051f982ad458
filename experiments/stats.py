"""Intervals: how far a mean over tasks might have come out otherwise.

Percentile bootstrap (Efron, 1979), with tasks as the units that are drawn anew: answers to one task
resemble each other, so they are averaged before they come here.  A sample whose values are all
alike gets an interval of no width; the bootstrap can't see what the sample doesn't hold.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

RESAMPLES = 2_000


class Interval(NamedTuple):
    """A mean and where it lies, at the level asked for."""

    value: float
    low: float
    high: float


def mean_interval(values: Sequence[float], seed: int, level: float = 0.95) -> Interval | None:
    """Return the mean of `values` with its bootstrap interval; `None`: there are no values.

    Args:
        values: one for each task.
        seed: of the resampling; equal values with equal seeds get equal intervals.
        level: the share of resampled means that the interval holds, in (0, 1).
    """
    if not len(values):
        return None
    sample = np.asarray(values, dtype=np.float64)
    rng, n = np.random.default_rng(seed), len(sample)
    means = [sample[rng.integers(0, n, n)].mean() for _ in range(RESAMPLES)]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(sample.mean()), float(low), float(high))


def paired_difference(
    before: Sequence[float], after: Sequence[float], seed: int, level: float = 0.95
) -> Interval | None:
    """Return the mean of `after` - `before`, task by task, with its interval; `None`: no tasks.

    Pairing takes out how hard each task is, so the interval is narrower than the two apart.

    Raises:
        ValueError: the two are not of the same tasks, for they differ in number.
    """
    return mean_interval([b - a for a, b in zip(before, after, strict=True)], seed, level)
