"""Agreement among raters, beyond what chance gives.

Ratings are items × raters; `None` is missing or unreadable, and is no rating.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any, Literal

import numpy as np

Level = Literal["nominal", "ordinal", "interval"]


def cohen_kappa(pairs: Sequence[tuple[Hashable | None, Hashable | None]]) -> float | None:
    """Return (p_o - p_e) / (1 - p_e) of two raters (Cohen, 1960), at most 1.

    Items that either didn't rate are left out.  `None`: no items, or both always say the same one
    thing, so that chance would agree as well.
    """
    both = [(a, b) for a, b in pairs if a is not None and b is not None]
    if not both:
        return None
    n = len(both)
    first, second = Counter(a for a, _ in both), Counter(b for _, b in both)
    chance = sum(first[label] * second[label] for label in first) / n**2
    seen = sum(a == b for a, b in both) / n
    return None if chance == 1 else (seen - chance) / (1 - chance)


def fleiss_kappa(ratings: Sequence[Sequence[Hashable | None]]) -> float | None:
    """Return (P - P_e) / (1 - P_e) of several raters (Fleiss, 1971), at most 1.

    P is the mean over items of the share of agreeing pairs of ratings, P_e the sum of squares of
    the labels' shares.  Items with fewer than two ratings are left out; where items have unlike
    numbers of ratings, each item counts once.
    """
    items = [[label for label in item if label is not None] for item in ratings]
    items = [item for item in items if len(item) > 1]
    if not items:
        return None
    labels = Counter(label for item in items for label in item)
    total = sum(labels.values())
    chance = sum((count / total) ** 2 for count in labels.values())
    seen = np.mean([_agreeing(Counter(item)) for item in items])
    return None if chance == 1 else float((seen - chance) / (1 - chance))


def _agreeing(counts: Counter[Hashable]) -> float:
    n = sum(counts.values())
    return sum(k * (k - 1) for k in counts.values()) / (n * (n - 1))


def krippendorff_alpha(
    ratings: Sequence[Sequence[float | None]], level: Level = "nominal"
) -> float | None:
    """Return 1 - D_o / D_e (Krippendorff, 2011), at most 1.

    D_o is the mean squared difference of two ratings of one item, each item weighed by its number
    of ratings, D_e that of any two ratings.  Missing ratings are borne.  `None`: no item has two
    ratings, or all ratings are the same.

    Args:
        ratings: items × raters; labels as numbers.
        level: what a difference is: any is 1; how many ratings lie between; or of the numbers.
    """
    items = _paired(ratings)
    values = sorted({value for item in items for value in item})
    return alpha(coincidences(items, values), values, level)


def coincidences(ratings: Sequence[Sequence[float | None]], values: Sequence[float]) -> Any:
    """Return (K, K) how often two ratings of one item are each two of the K `values`.

    Each two of an item's m ratings count 1 / (m - 1), in either order.  The table of all items is
    the sum of the tables of some and of the others.
    """
    items, k = _paired(ratings), len(values)
    place = {value: i for i, value in enumerate(values)}
    cells = [i * k + place[value] for i, item in enumerate(items) for value in item]
    counts = np.bincount(np.array(cells, dtype=np.int64), minlength=len(items) * k)
    counts = counts.reshape(len(items), k)
    weighed = counts / (counts.sum(1, keepdims=True) - 1)
    return weighed.T @ counts - np.diag(weighed.sum(0))


def alpha(seen: Any, values: Sequence[float], level: Level = "nominal") -> float | None:
    """Return `krippendorff_alpha` of coincidences; `None`: of fewer than two values.

    Args:
        seen: (K, K) as `coincidences` gives them of the K `values`, or sums of such.
        values: from the lowest.
        level: as there.
    """
    of_value = seen.sum(1)
    if (of_value > 0).sum() < 2:
        return None
    total = of_value.sum()
    chance = (np.outer(of_value, of_value) - np.diag(of_value)) / (total - 1)
    apart = _apart(np.array(values), of_value, level) ** 2
    return float(1 - (seen * apart).sum() / (chance * apart).sum())


def _paired(ratings: Sequence[Sequence[float | None]]) -> list[list[float]]:
    """Return each item's ratings, of the items that have two."""
    items = [[value for value in item if value is not None] for item in ratings]
    return [item for item in items if len(item) > 1]


def _apart(values: Any, counts: Any, level: Level) -> Any:
    """Return how far every two values are apart; of `counts` ratings each."""
    if level == "nominal":
        return 1.0 - np.eye(len(values))
    if level == "interval":  # in spans: the unit is nothing, and small ones squared would vanish
        return np.subtract.outer(values, values) / (values[-1] - values[0])
    ranks = np.cumsum(counts) - counts / 2  # in the middle of their ties
    return np.subtract.outer(ranks, ranks)
