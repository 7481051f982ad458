"""Biases of a judge of pairs, and how steady it is (arXiv:2406.07791)."""

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from statistics import fmean

import numpy as np

Both = tuple[float, float]
"""How likely the reply shown first won, with a pair in one order and in the other."""


def position_bias(pairs: Sequence[Both]) -> float | None:
    """Return how much oftener the first place wins than the second, in [-1, 1].

    As every pair was shown in both orders a judge without a taste for a place gives 0.
    """
    return fmean(one + other - 1 for one, other in pairs) if pairs else None


def consistency(pairs: Sequence[Both]) -> float | None:
    """Return the share of pairs whose winner stays the same when they are swapped.

    It is on a knife's edge where either order is an even chance: such pairs aren't consistent.
    """
    return fmean((one - 0.5) * (0.5 - other) > 0 for one, other in pairs) if pairs else None


def fairness(pairs: Sequence[Both]) -> float | None:
    """Return where an inconsistent judge leans: 1 always to the first place, -1 to the second.

    It is the difference of the shares of the two among all pairs: 0 for a consistent judge.
    """
    if not pairs:
        return None
    first = fmean(one > 0.5 and other > 0.5 for one, other in pairs)
    return first - fmean(one < 0.5 and other < 0.5 for one, other in pairs)


def stability(repeats: Iterable[Sequence[Hashable | None]]) -> float | None:
    """Return the mean share, over items, of the verdict that a judge repeats most often."""
    read = [[verdict for verdict in item if verdict is not None] for item in repeats]
    shares = [max(Counter(item).values()) / len(item) for item in read if len(item) > 1]
    return fmean(shares) if shares else None


def length_bias(pairs: Sequence[tuple[int, int, float]], ridge: float = 0.1) -> float | None:
    """Return how much the log-odds of winning grow as a reply gets e times as long as the other.

    It is the coefficient of the difference of log-lengths in a logistic regression without a
    constant, fitted by Newton's method with a small ridge.  `None`: no two are of unlike length.

    Args:
        pairs: the two lengths, and how likely the first one won.
        ridge: times half the squared coefficient is taken from the log-likelihood.
    """
    x = np.array([math.log1p(a) - math.log1p(b) for a, b, _ in pairs])
    won = np.array([p for _, _, p in pairs])
    if not x.any():
        return None
    slope = 0.0
    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(slope * x, -40, 40)))
        step = float(((won - p) @ x - ridge * slope) / ((p * (1 - p)) @ x**2 + ridge))
        slope += max(-1.0, min(1.0, step))
        if abs(step) < 1e-9:
            break
    return slope


def self_preference(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """Return how much better than other judges a judge finds its own replies; `None`: it has none.

    A judge that marks everybody higher has no liking for itself: how much better it finds others'
    replies is taken off.

    Args:
        ours: how much better it finds each of its own replies than other judges do, in the mean.
        theirs: the same of others' replies; empty where replies were compared with each other.
    """
    return fmean(ours) - (fmean(theirs) if theirs else 0.0) if ours else None
