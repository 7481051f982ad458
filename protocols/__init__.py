"""How agents interact: a protocol turns one task into one episode.

To add a protocol: one file beside this one, and one line in `ProtocolChoice`, or in `Talk`
(talk.py) if others may judge what was said in it.
"""

from typing import Annotated

from pydantic import Field

from moot.agents.own_kind import OrOwn

from .equivalent import Equivalent
from .judged import Judged
from .rubric import Rubric
from .talk import Talk
from .tournament import Tournament
from .types import Protocol

ProtocolChoice = Annotated[
    Talk | Tournament | Judged | Equivalent | Rubric,
    Field(discriminator="kind"),
    OrOwn("protocol", Protocol),
]
"""What `protocol:` may be."""
