"""EMPO: entropy-minimised policy optimisation (arXiv:2504.05812).

An answer's reward is the share of its group that means the same: the likelihood of its semantic
cluster.  Nothing is rewarded where all answers differ; one that can't be read is a cluster of its
own, and earns nothing.  Here clusters are answers in which the verifier reads the same; the paper's
clusters by entailment, for free text, are left out.
"""

from __future__ import annotations

from typing import Literal

from moot.protocols.types import Episode

from ..data.examples import Rollout
from .reinforcement import Reinforcement, rollout
from .votes import groups, votes


class EMPO(Reinforcement):
    """Reinforce answers by the share of the group that agrees with them."""

    kind: Literal["empo"] = "empo"

    @property
    def needs(self) -> None:
        """Answers are enough."""
        return None

    def examples(self, episode: Episode) -> list[Rollout]:
        """Return the answers; one that can't be read earns 0, and so do all where all differ."""
        found: list[Rollout] = []
        for group in groups(episode):
            given = votes(group)
            differ = len(group) > 1 and all(n == 1 for n in given.values())
            for turn in group:
                share = 0.0 if differ else given[turn.answer or ""] / len(group)
                found.append(rollout(episode, turn, share))
        return found
