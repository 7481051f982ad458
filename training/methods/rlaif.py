"""RLAIF: the judges' word is the reward (arXiv:2309.00267).

By way of a reward model that learns their preferences, or directly: d-RLAIF, where a judge's grade
of an answer is its reward.  Left out: the paper's REINFORCE with a value baseline is a choice here
(`objective: ppo` has a value head; the default compares within groups), and d-RLAIF's grades are
from -1 to 1: here they are from 0 to 1, the same to advantages that are scaled by their deviation,
but half as much beside a KL in the reward.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from moot.protocols.types import Episode, Signal

from ..data.examples import Rollout
from ..reward_model import RewardModel
from .options import refuse_unused
from .reinforcement import Reinforcement, answers


class RLAIF(Reinforcement):
    """Reinforce the answers that judges find good."""

    kind: Literal["rlaif"] = "rlaif"
    by: Literal["model", "grade"] = "model"
    """A reward model trained on the judges' preferences, or the judges' grades themselves."""
    model: RewardModel = RewardModel()
    """How the reward model learns."""
    no_answer: float | None = Field(default=None, ge=0, le=1)
    """The grade of an answer that no judge could grade; `null` leaves it out of its group."""

    @model_validator(mode="after")
    def _options_are_used(self) -> Self:
        used = {"model": ("model",), "no_answer": ("grade",)}
        refuse_unused(self, self.by, used, f"with `by: {self.by}`")
        return self

    @property
    def needs(self) -> Signal | None:
        """Preferences, or grades."""
        return self.model.needs if self.by == "model" else "grades"

    @property
    def reward_model(self) -> RewardModel | None:
        """What learns the judges' preferences."""
        return self.model if self.by == "model" else None

    def examples(self, episode: Episode) -> list[Rollout]:
        """Return the answers: those that were graded, or all, whose reward the model finds."""
        if self.by == "model":
            return answers(episode)
        grades = {
            v.of: self.no_answer if v.score is None else v.score
            for v in episode.outcome.verdicts
            if v.kind == "grade" and v.by is None
        }
        return [
            one
            for one in answers(episode, lambda turn: grades.get(turn.index))
            if one.reward is not None
        ]
