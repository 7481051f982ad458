"""SRT: self-rewarded training (arXiv:2505.21444).

The majority answer is the label where enough agree on it, and a group without a label teaches
nothing; softly, an answer's reward is the share that gives it, whatever the majority.  Shares are
of all the group's answers: what can't be read agrees with nothing.  With a threshold of 0 this is
TTRL.  Its paper warns that it collapses: see `fit.guards`.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from moot.protocols.types import Episode

from ..data.examples import Rollout
from .reinforcement import Reinforcement, rollout
from .votes import groups, votes, winner


class SRT(Reinforcement):
    """Reinforce the answers that the majority gives, where it is large enough."""

    kind: Literal["srt"] = "srt"
    threshold: float = Field(default=0.5, ge=0, le=1)
    """The least share of the majority for its answer to become the label."""
    soft: bool = False
    """Whether the reward is the share of the group that gives an answer. No group is left out then,
    except those without a readable answer."""

    @model_validator(mode="after")
    def _all_is_used(self) -> Self:
        if self.soft:
            self.refuse("threshold", where="with `soft: true`: no answer is a label then")
        return self

    @property
    def needs(self) -> None:
        """Answers are enough."""
        return None

    def examples(self, episode: Episode) -> list[Rollout]:
        """Return the answers of every group whose majority is large enough, or softly of all."""
        found: list[Rollout] = []
        for group in groups(episode):
            given, won = votes(group), winner(episode.task, group)
            if won is None or not (self.soft or given[won] / len(group) >= self.threshold):
                continue
            for turn in group:
                share = given[turn.answer or ""] / len(group)
                reward = share if self.soft else float(turn.answer == won)
                found.append(rollout(episode, turn, reward))
        return found
