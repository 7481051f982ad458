"""What all methods have in common that learn from rewards: the policy-gradient objective."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from moot.agents.types import Settings
from moot.protocols.types import Episode, Turn

from ..data.examples import Rollout, said
from ..model.types import Encoder, Rows, Scores
from ..policy_gradient.objective import Named, Objective
from ..reward_model import RewardModel
from ..types import Look, Metrics

if TYPE_CHECKING:
    from torch import Tensor


class Reinforcement(Settings):
    """Learns from the rewards of rollouts; a method says where those come from."""

    objective: Named = Objective()
    """How rewards move the policy: an algorithm's name, or its settings."""

    def looks(self, encode: Encoder) -> Look:
        """Return what the objective must know from the models."""
        return self.objective.look()

    @property
    def reward_model(self) -> RewardModel | None:
        """Nothing learns to reward."""
        return None

    def given(self) -> None:
        """Return nothing: rewards are of what is said."""

    def graded(self, examples: Sequence[Rollout], taken: int = 0) -> list[Rollout]:
        """Return the rollouts, each credited against the others of its group."""
        return self.objective.credited(examples)

    def sizes(self, examples: Sequence[Rollout], rows: Rows) -> Tensor:
        """Return (N,) how much each rollout counts in the mean loss."""
        return self.objective.sizes(rows)

    def loss(
        self, policy: Scores, rows: Rows, examples: Sequence[Rollout]
    ) -> tuple[Tensor, Metrics]:
        """Return (N,) the objective's losses, and what was seen."""
        return self.objective.loss(policy, rows, examples)


def rollout(
    episode: Episode, turn: Turn, reward: float | None, judges: Sequence[int] = ()
) -> Rollout:
    """Return what `turn` said, at `reward`."""
    return Rollout(
        episode=episode.id,
        turn=turn.index,
        round=turn.round,
        agent=turn.agent.name,
        weights=turn.agent.weights,
        version=turn.completion.version,
        said=said(turn),
        reward=reward,
        teaches=turn.agent.weights is not None,
        judges=tuple(judges),
        answer=turn.answer,
    )


def verified(episode: Episode) -> list[Rollout]:
    """Return all answers at 1 for a right one; none to a task whose own isn't known.

    An answer that can't be read is wrong.
    """
    task = episode.task
    known = task.answer is not None
    return answers(episode, lambda t: float(bool(task.correct(t.answer)))) if known else []


def answers(
    episode: Episode, reward: Callable[[Turn], float | None] = lambda _: None
) -> list[Rollout]:
    """Return all that policies said in answer to the task, at the `reward` of each."""
    return [
        rollout(episode, turn, reward(turn))
        for turn in episode.turns
        if turn.agent.role == "policy"
    ]
