"""SRT: self-rewarded training (arXiv:2505.21444).

The majority answer is the label where enough agree on it, and a group without a label teaches
nothing; softly, an answer's reward is the share of its group that gives it.  With a threshold of 0
this is TTRL.  Its paper warns that it collapses: see `fit.guards`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from moot.protocols.types import Episode

from ..examples import Rollout
from .reinforcement import Reinforcement, rollout
from .votes import groups, shares, winner


class SRT(Reinforcement):
    """Reinforce the answers that the majority gives, where it is large enough."""

    kind: Literal["srt"] = "srt"
    threshold: float = Field(default=0.5, ge=0, le=1)
    """The least share of the majority for its answer to be a label."""
    soft: bool = False
    """Whether the reward is the share of the group that gives an answer."""

    @property
    def needs(self) -> None:
        """Answers are enough."""
        return None

    def examples(self, episode: Episode) -> list[Rollout]:
        """Return the answers of every group whose majority is large enough."""
        found: list[Rollout] = []
        for group in groups(episode):
            given, won = shares(group), winner(group)
            if won is None or given[won] < self.threshold:
                continue
            for turn in group:
                share = 0.0 if turn.answer is None else given[turn.answer]
                reward = share if self.soft else float(turn.answer == won)
                found.append(rollout(episode, turn, reward))
        return found
