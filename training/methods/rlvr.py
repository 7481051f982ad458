"""RLVR: reinforcement learning from verifiable rewards (Tülu 3, arXiv:2411.15124).

An answer's reward is whether it is right, by the task's known answer: what methods without labels
are held against.  Left out: the paper's value head is an
objective here (`ppo`), and its constraints on how a reply is written are for a verifier to check.
"""

from __future__ import annotations

from typing import Literal

from moot.protocols.types import Episode, Turn

from ..data.examples import Rollout
from .reinforcement import Reinforcement, answers


class RLVR(Reinforcement):
    """Reinforce the answers that are right.  It learns from labels."""

    kind: Literal["rlvr"] = "rlvr"

    @property
    def needs(self) -> None:
        """Answers are enough, to tasks whose own is known."""
        return None

    def examples(self, episode: Episode) -> list[Rollout]:
        """Return every answer, 1 for a right one; none to a task whose own isn't known."""
        if episode.task.answer is None:
            return []

        def right(turn: Turn) -> float:
            return float(bool(episode.task.correct(turn.answer)))

        return answers(episode, right)
