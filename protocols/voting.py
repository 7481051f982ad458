"""Votes over answers, as the verifier read them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Vote:
    """What a plurality vote found."""

    winner: str | None
    """The answer most voters gave; `None`: nobody gave a readable one."""
    share: float | None
    """The winner's votes over the readable ones, in (0, 1]; `None` with no winner."""
    tied: bool
    """Whether others had as many votes; the winner is then the one given first."""
    unreadable: int
    """Voters without a readable answer: they abstain."""


def plurality(answers: Sequence[str | None]) -> Vote:
    """Return the answer given most often (self-consistency, arXiv:2203.11171).

    Unreadable answers (`None`) abstain.  A tie goes to the answer that was given first, which
    depends on the speaking order alone and not on any text.
    """
    read = [answer for answer in answers if answer is not None]
    if not read:
        return Vote(None, None, False, len(answers))
    counts = Counter(read)  # keeps the order of first appearance, and so does max
    winner = max(counts, key=lambda answer: counts[answer])
    tied = sum(n == counts[winner] for n in counts.values()) > 1
    return Vote(winner, counts[winner] / len(read), tied, len(answers) - len(read))
