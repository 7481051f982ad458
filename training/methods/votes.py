"""How answers voted: what the label-free methods are graded by.

A group votes: the policies' answers of one round.  Two answers are one where the verifier reads the
same out of both.
"""

from collections import Counter
from collections.abc import Sequence

from moot.agents.task import Task
from moot.protocols.types import Episode, Turn


def groups(episode: Episode) -> list[list[Turn]]:
    """Return the policies' answers, round by round."""
    found: dict[int, list[Turn]] = {}
    for turn in episode.turns:
        if turn.agent.role == "policy":
            found.setdefault(turn.round, []).append(turn)
    return list(found.values())


def votes(group: Sequence[Turn]) -> Counter[str]:
    """Return how many of the group give each answer, as far as answers can be read."""
    return Counter(turn.answer for turn in group if turn.answer is not None)


def winner(task: Task, group: Sequence[Turn]) -> str | None:
    """Return the answer that most give, of equals one that is drawn; `None`: nobody gives one."""
    given = votes(group)
    best = [answer for answer, n in given.items() if n == max(given.values())]
    return task.drawn(best) if best else None
