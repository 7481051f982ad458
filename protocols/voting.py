"""Votes over answers, as the verifier read them."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isclose

from moot.agents.task import Task


@dataclass(frozen=True, slots=True)
class Vote:
    """What a vote found, in which each has a say of some weight."""

    winner: str | None
    """The answer of most weight; `None`: nobody gave a readable one."""
    share: float | None
    """The winner's weight over that of all who voted, in (0, 1]; `None` with no winner."""
    tied: bool
    """Whether others had as much weight."""
    unreadable: int
    """Those whose answer, or whose weight, can't be read: they abstain."""


def plurality(
    task: Task | None,
    answers: Sequence[str | None],
    weights: Sequence[float | None] | None = None,
) -> Vote:
    """Return the answer that most is said for (self-consistency, arXiv:2203.11171).

    What can't be read (`None`), an answer or its weight, abstains; who weighs 0 has no say.  Of
    answers that tie one is drawn, in whatever order they are given: else who speaks first would
    win.  Sums that differ by rounding alone are a tie.

    Args:
        task: what was answered, by which it is drawn; `None`: a tie goes to the answer given first.
        answers: one of each voter.
        weights: how much each voter's answer counts, at least 0; left out: all count alike.
    """
    each = [1.0] * len(answers) if weights is None else weights
    totals: dict[str, float] = {}  # keeps the order of first appearance
    abstained = 0
    for answer, weight in zip(answers, each, strict=True):
        if answer is None or weight is None:
            abstained += 1
        elif weight > 0:
            totals[answer] = totals.get(answer, 0.0) + weight
    if not totals:
        return Vote(None, None, False, abstained)
    most = max(totals.values())
    best = [answer for answer, total in totals.items() if isclose(total, most)]
    winner = best[0] if task is None else task.drawn(best)
    return Vote(winner, totals[winner] / sum(totals.values()), len(best) > 1, abstained)
