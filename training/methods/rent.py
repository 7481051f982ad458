"""RENT: reinforcement by minimised entropy (arXiv:2505.22660).

An answer's reward is minus the mean entropy of its tokens, as the policy sees them before the
cycle's training.  One that can't be read earns minus `no_answer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from pydantic import Field

from moot.protocols.types import Episode

from ..data.examples import Rollout
from ..model.types import Encoder
from ..types import Look
from .reinforcement import Reinforcement, answers


class RENT(Reinforcement):
    """Reinforce answers of which the policy has little entropy."""

    kind: Literal["rent"] = "rent"
    no_answer: float = Field(default=7.0, ge=0)
    """The entropy, in nats, assigned to an answer that can't be read."""

    @property
    def needs(self) -> None:
        """Answers are enough."""
        return None

    def examples(self, episode: Episode) -> list[Rollout]:
        """Return all answers; their reward is found later."""
        return answers(episode)

    def looks(self, encode: Encoder) -> Look:
        """Return that the policy must be looked at, and what the objective wants."""
        return replace(self.objective.look(), policy=True)

    def graded(self, examples: Sequence[Rollout], taken: int = 0) -> list[Rollout]:
        """Return the rollouts at minus their entropy, credited in their groups.

        What the policy wasn't asked about is in no group, whether it can be read or not.
        """
        seen = [r for r in examples if r.said.known.entropy is not None]
        found = iter(self.objective.credited([self._rewarded(r) for r in seen]))
        return [r if r.said.known.entropy is None else next(found) for r in examples]

    def _rewarded(self, rollout: Rollout) -> Rollout:
        entropy = rollout.said.known.entropy
        assert entropy is not None, "it was seen"
        return replace(rollout, reward=-(self.no_answer if rollout.answer is None else entropy))
