"""Biases of a judge of pairs, and how steady it is (arXiv:2406.07791)."""

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from statistics import fmean
from typing import Any

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

    `None`: no two are of unlike length.

    Args:
        pairs: the two lengths, and how likely the first one won.
        ridge: as of `slope`.
    """
    return slope(*log_ratios(pairs), np.ones(len(pairs)), ridge)


def log_ratios(pairs: Sequence[tuple[int, int, float]]) -> tuple[Any, Any]:
    """Return (N,) each pair's difference of log-lengths, and (N,) how likely the first one won."""
    x = np.array([math.log1p(a) - math.log1p(b) for a, b, _ in pairs])
    return x, np.array([p for _, _, p in pairs])


def slope(x: Any, won: Any, times: Any, ridge: float = 0.1) -> float | None:
    """Return the coefficient of a logistic regression without a constant; `None`: all `x` are 0.

    Args:
        x: (N,) what it is of.
        won: (N,) the outcomes, or how likely they are, in [0, 1].
        times: (N,) how often each counts.
        ridge: times half the squared coefficient is taken from the log-likelihood.
    """
    if not (x * times).any():
        return None
    found = 0.0
    for _ in range(100):  # Newton's method
        p = 1 / (1 + np.exp(-np.clip(found * x, -40, 40)))
        step = (times * (won - p)) @ x - ridge * found
        step = float(step / ((times * p * (1 - p)) @ x**2 + ridge))
        found += max(-1.0, min(1.0, step))
        if abs(step) < 1e-9:
            break
    return found
