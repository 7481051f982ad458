"""What is so, and who sees it: both estimated from labels alone, without any known answer.

Dawid and Skene (1979): each rater has a confusion matrix and, given the truth, raters err
independently.  Language models of one family don't, so what is found for them is optimistic.  GLAD
(Whitehill et al., 2009): each rater has an ability and each item an ease.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

ITERATIONS = 100
TOLERANCE = 1e-5
PSEUDO = 0.01
"""A count that is added to each cell of a confusion matrix, so that no label is impossible."""

Labels = Sequence[Sequence[int | None]]
"""Items × raters: a class from 0, or `None` where there is none."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What Dawid and Skene's model finds.  Shapes: I items, R raters, K classes."""

    truth: Any
    """(I, K) how likely each item is of each class."""
    priors: Any
    """(K,) how frequent each class is."""
    confusion: Any
    """(R, K, K) how likely each rater says the second of an item of the first."""

    @property
    def reliability(self) -> list[float]:
        """Return how often each rater is right, where classes are as frequent as `priors` says."""
        return (np.einsum("rkk->rk", self.confusion) @ self.priors).tolist()

    @property
    def informedness(self) -> list[float]:
        """Return how much better than chance each rater is: 1 is never wrong, 0 at chance or worse.

        It is the mean, over classes, of how often it says the class that is so, put on a scale
        where guessing gives 0: (mean - 1/K) / (1 - 1/K).  On a class that no item is of, every
        rater guesses.
        """
        k = len(self.priors)
        right = np.einsum("rkk->rk", self.confusion).mean(1)
        return [max(0.0, float(p)) for p in (right - 1 / k) / (1 - 1 / k)]


def dawid_skene(labels: Labels, classes: int = 2) -> Estimate | None:
    """Return the maximum-likelihood estimate by EM, begun at the majority; `None`: no labels.

    E: T[i, k] ∝ p[k] Π_r e[r, k, y[i, r]].  M: e[r, k, l] is the share of l among r's labels of
    items that are k, weighed by T; p is the mean of T.  A hundred rounds at most, until T moves by
    less than 1e-5.  Fewer than three raters don't tell how good each is.

    Raises:
        ValueError: a label is none of the classes, or there are fewer than two of these.
    """
    if not any(label is not None for item in labels for label in item):
        return None
    said = _one_hot(labels, classes)
    votes = said.sum(1)
    truth = (votes + 1e-12) / (votes + 1e-12).sum(1, keepdims=True)
    for _ in range(ITERATIONS):
        before, truth = truth, _posterior(said, np.log(_confusion(said, truth)), truth.mean(0))
        if np.abs(truth - before).max() < TOLERANCE:
            break
    return Estimate(truth, truth.mean(0), _confusion(said, truth))


def _one_hot(labels: Labels, classes: int) -> Any:
    """Return (I, R, K) what was said; nothing where a label is missing."""
    known = {label for item in labels for label in item if label is not None}
    if classes < 2 or not known <= set(range(classes)):
        raise ValueError(f"labels {sorted(known)} are not all among two or more classes: {classes}")
    numbers = np.array([[-1 if label is None else label for label in item] for item in labels])
    return (numbers[..., None] == np.arange(classes)).astype(np.float64)


def _confusion(said: Any, truth: Any) -> Any:
    counts = np.einsum("ik,irl->rkl", truth, said) + PSEUDO
    return counts / counts.sum(2, keepdims=True)


def _posterior(said: Any, log_confusion: Any, priors: Any) -> Any:
    scores = np.einsum("irl,rkl->ik", said, log_confusion) + np.log(priors + 1e-12)
    likely = np.exp(scores - scores.max(1, keepdims=True))
    return likely / likely.sum(1, keepdims=True)


@dataclass(frozen=True, slots=True)
class Abilities:
    """What GLAD finds."""

    truth: list[list[float]]
    """Items × classes: how likely each is."""
    ability: list[float]
    """Of each rater; 0 is chance, below 0 is wrong more often than that."""
    ease: list[float]
    """Of each item, above 0."""


def glad(labels: Labels, classes: int = 2, rate: float = 0.5) -> Abilities | None:
    """Return GLAD's estimate by EM; `None`: no labels.

    A label is right with probability sigmoid(ability × ease), and else any other one alike.  The
    M-step is gradient ascent under unit normal priors, ability's around 1 and log ease's around 0.

    Args:
        labels: items × raters.
        classes: how many there are.
        rate: of the ascent.

    Raises:
        ValueError: a label is none of the classes, or there are fewer than two of these.
    """
    if not any(label is not None for item in labels for label in item):
        return None
    said = _one_hot(labels, classes)
    there = said.sum(2)
    ability, log_ease = np.ones(said.shape[1]), np.zeros(said.shape[0])
    votes = said.sum(1) + 1e-12
    truth = votes / votes.sum(1, keepdims=True)
    for _ in range(ITERATIONS):
        for _ in range(10):
            right = _sigmoid(np.outer(np.exp(log_ease), ability))
            agrees = np.einsum("irk,ik->ir", said, truth)
            slope = there * (agrees - right)  # of the expected log-likelihood
            to_ability = (slope * np.exp(log_ease)[:, None]).sum(0) - (ability - 1)
            to_ease = (slope * ability).sum(1) * np.exp(log_ease) - log_ease
            ability = ability + rate * to_ability / (1 + there.sum(0))
            log_ease = log_ease + rate * to_ease / (1 + there.sum(1))
        right = np.clip(_sigmoid(np.outer(np.exp(log_ease), ability)), 1e-9, 1 - 1e-9)
        scores = np.einsum("irk,ir->ik", said, np.log(right) - np.log((1 - right) / (classes - 1)))
        likely = np.exp(scores - scores.max(1, keepdims=True))
        before, truth = truth, likely / likely.sum(1, keepdims=True)
        if np.abs(truth - before).max() < TOLERANCE:
            break
    return Abilities(truth.tolist(), ability.tolist(), np.exp(log_ease).tolist())


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-np.clip(x, -40, 40)))
