"""How agents interact: a protocol turns one task into one episode.

To add a protocol: one file beside this one, and one line in `ProtocolChoice`, or in `TalkChoice`
(talk.py) if others may judge what was said in it.
"""

from typing import Annotated

from pydantic import Field

from .equivalent import Equivalent
from .judged import Judged
from .rubric import Rubric
from .talk import TalkChoice
from .tournament import Tournament

ProtocolChoice = Annotated[
    TalkChoice | Tournament | Judged | Equivalent | Rubric, Field(discriminator="kind")
]
"""What `protocol:` may be."""
