"""How unlike what is learnt from is: a policy that collapses says the same whatever it is asked."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from statistics import fmean

from .data.examples import Example, Rollout


def variety(examples: Sequence[Example]) -> dict[str, float]:
    """Return what tells of a collapse, as far as these examples do; empty: there are none.

    `distinct` is how many of an episode's texts differ, in the mean over episodes: 1 if no two are
    alike.  `commonest` is the share that the most frequent answer has of all that could be read, in
    whichever episode.
    """
    if not examples:
        return {}
    answers = Counter(e.answer for e in examples if isinstance(e, Rollout) and e.answer is not None)
    most = {"commonest": max(answers.values()) / answers.total()} if answers else {}
    return {"distinct": _distinct(examples), **most}


def _distinct(examples: Iterable[Example]) -> float:
    """Return the mean, over episodes, of how many of the texts differ: 1 if no two are alike.

    What one episode taught lies side by side; memory holds the texts of one at a time.
    """
    episodes = groupby(examples, lambda example: example.episode)
    return fmean(_differ(some) for _, some in episodes)


def _differ(examples: Iterable[Example]) -> float:
    """Return how many of the texts that an episode taught differ, of all; each turn counts once."""
    said = {
        (turn, one.text)
        for example in examples
        for turn, one in zip(example.turns, example.rows, strict=False)  # not what lies beside
    }
    return len({text for _, text in said}) / len(said)
