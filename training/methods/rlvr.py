"""RLVR: reinforcement learning from verifiable rewards (Tülu 3, arXiv:2411.15124).

An answer's reward is whether it is right, by the task's known answer: what methods without labels
are held against.  The paper's value head is an objective here (`ppo`).  Left out: its constraints
on how a reply is written, which are a verifier's.
"""

from __future__ import annotations

from typing import Literal

from moot.protocols.types import Episode

from ..data.examples import Rollout
from .reinforcement import Reinforcement, verified


class RLVR(Reinforcement):
    """Reinforce the answers that are right.  It learns from labels."""

    kind: Literal["rlvr"] = "rlvr"

    @property
    def needs(self) -> None:
        """Answers are enough, to tasks whose own is known."""
        return None

    def examples(self, episode: Episode) -> list[Rollout]:
        """Return the answers to a task whose own is known."""
        return verified(episode)
