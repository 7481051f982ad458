"""How judges judge: replies to one question, two at a time, one alone, or all at once.

Replies reach a judge fenced, by number, in a seeded order.  A verdict is read from how likely the
judge makes each of the allowed replies, where its engine tells; else from the one it gave; what
can't be read, asked twice, is an abstention.  Each kind gives every judge's own verdicts, by its
turn, and then the panel's, by nobody: the mean, weighed by how far each judge is trusted.

To add a kind: one file beside this one, and one line in `JudgingChoice`.
"""

from typing import Annotated

from pydantic import Field

from .listwise import Listwise
from .pairwise import Pairwise
from .pointwise import Pointwise
from .self_reward import SelfReward

JudgingChoice = Annotated[Pairwise | Pointwise | Listwise | SelfReward, Field(discriminator="kind")]
