"""Methods: what an episode teaches, and what loss teaches it.  One method a file."""

from typing import Annotated

from pydantic import Field

from moot.agents.own_kind import OrOwn

from ..method import Method
from .cat import CaT
from .dpo import DPO
from .empo import EMPO
from .intuitor import Intuitor
from .kto import KTO
from .laser import LaSeR
from .rent import RENT
from .rlaif import RLAIF
from .rlhf import RLHF
from .rlvr import RLVR
from .sft import SFT
from .srt import SRT
from .sum import Sum
from .ttrl import TTRL

MethodChoice = Annotated[
    CaT | DPO | EMPO | Intuitor | KTO | LaSeR | RENT | RLAIF | RLHF | RLVR | SFT | SRT | Sum | TTRL,
    Field(discriminator="kind"),
    OrOwn("method", Method),
]
"""What `method:` may be."""
