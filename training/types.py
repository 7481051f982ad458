"""What a method asks of the models, and what it tells of each example."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # settings import this module, and `moot plan` imports no torch
    from torch import Tensor

Metrics = Mapping[str, "Tensor"]
"""(E,) of each example, by name; a step reports the mean of those that aren't nan."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a method must know from the models."""

    policy: bool = False
    """To grade examples: what the policy thinks of them before training."""
    anchor: bool = False
    """What the anchor thinks of them."""
    old: bool = False
    """As soon as the policy has moved: what it thought of them before training."""
    entropy: bool = False
    """In the loss: a gradient of the entropy."""
    probe: int | None = None
    """A token whose log-probability after each example is wanted."""
    beta: float = 0.0
    """How many verdicts a nat of it is, where verdicts are learnt."""
    scalar: bool = False
    """A scalar head on the policy."""
    drift: bool = False
    """Before each step: what the policy as it is then thinks of the words beside the examples."""
    sampled: bool = False
    """Whether what is learnt from is what the policy has just said, by which its KL is told."""
