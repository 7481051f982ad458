"""How answers voted: what the label-free methods are graded by.

A group votes: the policies' answers of one round.  Two answers are one where the verifier reads the
same out of both.
"""

from collections import Counter
from collections.abc import Sequence

from moot.protocols.types import Episode, Turn


def groups(episode: Episode) -> list[list[Turn]]:
    """Return the policies' answers, round by round."""
    found: dict[int, list[Turn]] = {}
    for turn in episode.turns:
        if turn.agent.role == "policy":
            found.setdefault(turn.round, []).append(turn)
    return list(found.values())


def shares(group: Sequence[Turn]) -> dict[str, float]:
    """Return the share of the group that gives each answer, the first given first.

    Those whose answer can't be read count in the whole, so the shares may add up to less than 1.
    """
    counts = Counter(turn.answer for turn in group if turn.answer is not None)
    return {answer: n / len(group) for answer, n in counts.items()}


def winner(group: Sequence[Turn]) -> str | None:
    """Return the answer that most give, of equals the one given first; `None`: nobody gives one."""
    found = shares(group)
    return max(found, key=lambda answer: found[answer]) if found else None
