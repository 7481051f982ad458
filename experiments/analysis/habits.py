"""Habits of a judge: its tastes for a place, for length and for its own replies; how steady it is.

Tasks are the units, as of all that is said of judges: the claims of one are about much the same
replies, in later cycles too.  Nothing is told of fewer than 8.
"""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from moot.protocols.reliability.bias import (
    Both,
    consistency,
    fairness,
    log_ratios,
    position_bias,
    slope,
)

from .claims import Claim
from .stats import FEWEST, Interval, mean_by_unit, resampled_times

PLACES = {
    "position_bias": (position_bias, (-1, 1)),
    "consistency": (consistency, (0, 1)),
    "fairness": (fairness, (-1, 1)),
}
"""What is told of pairs that were shown in both orders, and between what it lies."""


def habits(judge: str, found: Mapping[str, Sequence[Claim]], seed: int) -> dict[str, Interval]:
    """Return a judge's habits by name; what too few tasks tell of is left out.

    Args:
        judge: whose.
        found: all judges' claims.
        seed: of the bootstrap.
    """
    some = found[judge]
    pairs: list[tuple[str, list[Both]]] = [
        (claim.task, [claim.swapped]) for claim in some if claim.swapped is not None
    ]
    told = {
        name: mean_by_unit(((e, of(pair) or 0.0) for e, pair in pairs), seed, within)
        for name, (of, within) in PLACES.items()
    }
    told["length_bias"] = _length_bias(some, seed)
    told["self_preference"] = mean_by_unit(_own(judge, found), seed, (-2, 2))
    return {name: interval for name, interval in told.items() if interval is not None}


def _length_bias(some: Sequence[Claim], seed: int) -> Interval | None:
    """Return how much the log-odds of a reply grow with its length.

    Where one reply is the right one, and the longer, it may have won by that: it isn't looked at.
    """
    alike = [
        (c.task, (c.of.length, c.over.length, c.score))
        for c in some
        if c.over is not None and c.right is None
        if c.of.length is not None and c.over.length is not None
    ]
    tasks = {name: i for i, name in enumerate(dict.fromkeys(task for task, _ in alike))}
    if len(tasks) < FEWEST:
        return None
    ratios, won = log_ratios([pair for _, pair in alike])
    units = np.array([tasks[task] for task, _ in alike])

    def drawn(times: NDArray[np.int64]) -> Mapping[str, float]:
        found = slope(ratios, won, times[units])
        return {} if found is None else {"slope": found}

    return resampled_times(len(tasks), drawn, seed).get("slope")


def _own(judge: str, found: Mapping[str, Sequence[Claim]]) -> Iterator[tuple[str, float]]:
    """Yield how much better a judge finds each of its own replies than others find it.

    Others are judges who wrote none of what is compared.  A judge that tells right from wrong
    better than they do finds its right replies better, so only equals are compared, and the mark of
    one reply is held against the marks that it gives others' which are as right: by how much it
    marks these higher, all are.
    """
    others: dict[tuple[str, int, int | None], list[float]] = {}
    for name, claim in ((n, c) for n, theirs in found.items() if n != judge for c in theirs):
        if name not in claim.authors:
            others.setdefault(claim.about, []).append(claim.score)
    more = [(c, c.score - fmean(others[c.about])) for c in found[judge] if c.about in others]
    lenient: dict[bool | None, list[float]] = {}
    for claim, by in more:
        if claim.over is None and claim.of.agent != judge:
            lenient.setdefault(claim.right, []).append(by)
    for claim, by in more:
        if claim.over is None and claim.of.agent == judge and claim.right in lenient:
            yield claim.task, by - fmean(lenient[claim.right])
        elif claim.over is not None and claim.right is None and claim.authors.count(judge) == 1:
            yield claim.task, by if claim.of.agent == judge else -by
