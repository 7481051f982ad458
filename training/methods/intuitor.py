"""Intuitor: learning from the policy's own certainty (arXiv:2505.19590).

An answer's reward is its self-certainty: the mean over its tokens of KL(uniform ‖ policy), as the
policy sees them before the cycle's training (eq. 3, up to a constant that the group cancels).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from moot.protocols.types import Episode

from ..data.examples import Rollout
from ..model.types import Encoder
from ..types import Look
from .reinforcement import Reinforcement, answers


class Intuitor(Reinforcement):
    """Reinforce answers of which the policy is certain."""

    kind: Literal["intuitor"] = "intuitor"

    @property
    def needs(self) -> None:
        """Answers are enough."""
        return None

    def examples(self, episode: Episode) -> list[Rollout]:
        """Return all answers; their reward is found when the policy is looked at."""
        return answers(episode)

    def looks(self, encode: Encoder) -> Look:
        """Return that the policy must be looked at, and what the objective wants."""
        return replace(self.objective.look(), policy=True)

    def graded(self, examples: Sequence[Rollout], taken: int = 0) -> list[Rollout]:
        """Return the rollouts at their self-certainty, credited in their groups."""
        return self.objective.credited(
            [replace(r, reward=r.said.known.certainty) for r in examples]
        )
