"""Discrimination: how well scores tell what is right from what is wrong."""

from collections.abc import Sequence

import numpy as np


def auc(scores: Sequence[float], right: Sequence[bool]) -> float | None:
    """Return how often something right scores above something wrong, ties counting half.

    It is the area under the ROC curve, by ranks (Mann and Whitney, 1947).  `None`: only one of the
    two is there.
    """
    values, places = np.unique(np.asarray(scores), return_inverse=True)
    truth, n = np.asarray(right, dtype=bool), len(values)
    ours = np.bincount(places[truth], minlength=n)
    theirs = np.bincount(places[~truth], minlength=n)
    both = ours.sum() * theirs.sum()
    return float(ours @ (np.cumsum(theirs) - theirs / 2) / both) if both else None


def verification_f1(scores: Sequence[float], right: Sequence[bool]) -> float | None:
    """Return the harmonic mean of the accuracies on what is right and on what is wrong, at 0.5.

    LaSeR's measure of verification (arXiv:2510.14943), which is not the usual F1.  `None`: only one
    of the two is there.
    """
    on_right = [score > 0.5 for score, truth in zip(scores, right, strict=True) if truth]
    on_wrong = [score <= 0.5 for score, truth in zip(scores, right, strict=True) if not truth]
    if not on_right or not on_wrong:
        return None
    a, b = float(np.mean(on_right)), float(np.mean(on_wrong))
    return 2 * a * b / (a + b) if a + b else 0.0
