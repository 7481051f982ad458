"""How judges judge: replies to one question, two at a time, one alone, or all at once.

Replies reach a judge fenced, by number, in a seeded order.  A verdict is read from how likely the
judge makes each of the allowed replies, where its engine tells; else from the one it gave; what
can't be read, asked twice, is an abstention.  Each kind gives every judge's own verdicts, by its
turn, and then the panel's, by nobody: the mean, weighed by how far each judge is trusted.

To add a kind: one file beside this one, and one line in `JudgingChoice`.
"""

from collections.abc import Sequence
from typing import Annotated, Protocol

from pydantic import Field

from moot.agents.own_kind import OrOwn
from moot.agents.population import Agent
from moot.agents.task import Task

from ..asking import Wishes
from ..types import Turn, Verdict
from .cascade import Cascade
from .listwise import Listwise
from .pairwise import Pairwise
from .pointwise import Pointwise
from .self_reward import SelfReward


class Judging(Protocol):
    """A way to judge: a frozen pydantic model whose fields are its YAML keys."""

    @property
    def kind(self) -> str:
        """Its name in YAML."""
        ...

    def judge(
        self, task: Task, replies: Sequence[Turn], judges: Sequence[Agent]
    ) -> Wishes[list[Verdict]]:
        """Return every judge's verdicts, by its turn, then the panel's, by nobody."""
        ...

    def calls(self, replies: int) -> int:
        """Return how often each judge speaks at most, of so many replies."""
        ...


Comparing = Annotated[Pairwise | Cascade, Field(discriminator="kind")]
"""A way to judge given pairs."""
JudgingChoice = Annotated[
    Pairwise | Pointwise | Listwise | SelfReward | Cascade,
    Field(discriminator="kind"),
    OrOwn("judging", Judging),
]
