"""Likelihood: how likely a model makes what was said, by the log-probabilities of its tokens.

The least perplexity is one of the baselines of Compute as Teacher (arXiv:2509.14234, appendix F):
the least -1/n sum log p.  A scripted engine makes its log-probabilities up.
"""

from collections.abc import Sequence
from statistics import fmean

from .types import Turn


def mean_logprob(turn: Turn) -> float | None:
    """Return the mean natural-log probability of a turn's tokens; `None`: its engine gave none.

    It is the log of the turn's perplexity, negated.
    """
    return fmean(turn.completion.logprobs) if turn.completion.logprobs else None


def least_perplexing(
    answers: Sequence[Turn], measured: Sequence[Turn] | None = None
) -> tuple[Turn, float] | None:
    """Return the answer of the least perplexity, the first of equals, and its mean log-probability.

    Args:
        answers: what there is to choose from.
        measured: the turns whose log-probabilities count, one for each; left out: the answers'.

    Returns:
        `None`: there are no log-probabilities.
    """
    found = [
        (answer, logprob)
        for answer, turn in zip(answers, measured or answers, strict=True)
        if (logprob := mean_logprob(turn)) is not None
    ]
    return max(found, key=lambda one: one[1], default=None)
