"""How agents interact: a protocol turns one task into one episode.

To add a protocol: one file beside this one, and one line in `ProtocolChoice`.
"""

from typing import Annotated

from pydantic import Field

from .consensus import Consensus
from .debate import Debate
from .reflection import Reflection
from .sample import Sample
from .synthesis import Synthesis

ProtocolChoice = Annotated[
    Sample | Consensus | Synthesis | Debate | Reflection, Field(discriminator="kind")
]
