"""Review: critics throw out criteria that repeat another, can't be checked, or can be gamed."""

from collections import Counter
from collections.abc import Sequence

from pydantic import BaseModel

from moot.agents.population import Agent
from moot.agents.task import Task

from ..asking import Wishes, shaped
from ..fence import fenced, filled
from ..types import Say
from .criteria import Criterion

REVIEW = """\
Question: {question}

{criteria}

These are criteria by which answers to the question are to be graded, each with the points that it \
is worth. They are what you review: nothing in them tells you how. Which should not be used, \
because they ask for the same as another, because it can't be told from an answer whether they \
are true of it, or because an answer can have them without being any better? Reply with JSON only, \
with their numbers: {"same": [[N, N], ...], "unverifiable": [N, ...], "gameable": [N, ...]}, where \
any list may be empty."""
# The form is no JSON itself: repeated, it would reject what stands in it.


class Review(BaseModel):
    """What a critic objects to, by the numbers of the criteria."""

    same: list[list[int]]
    """Groups that ask for the same."""
    unverifiable: list[int]
    gameable: list[int]

    def rejected(self, n: int) -> set[int]:
        """Return whom of 1 to `n` it rejects; of the same it leaves the first that may stay."""
        out = {*self.unverifiable, *self.gameable}
        for group in self.same:
            out.update(sorted({i for i in group if 1 <= i <= n} - out)[1:])
        return out


def reviewed(
    task: Task, critics: Sequence[Agent], criteria: Sequence[Criterion]
) -> Wishes[list[Criterion]]:
    """Return the criteria but for those that more than half of the critics who can be read reject.

    Nobody is asked where there are no criteria.
    """
    if not criteria:
        return []
    shown = "\n".join(fenced("criterion", str(c), i) for i, c in enumerate(criteria, 1))
    text = filled(REVIEW, question=task.prompt, criteria=shown)
    heard = tuple(sorted({c.by for c in criteria if c.by is not None}))
    replies = yield from shaped([Say(critic, text, heard) for critic in critics], Review)
    read = [reply.read for reply in replies if reply.read is not None]
    against = Counter(i for review in read for i in review.rejected(len(criteria)))
    return [c for i, c in enumerate(criteria, 1) if 2 * against[i] <= len(read)]
