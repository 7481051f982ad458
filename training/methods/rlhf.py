"""RLHF: a reward model of people's preferences, and reinforcement by it (arXiv:2203.02155).

The preferences are those of a file, and are learnt in the first cycle: the same reward model
rewards in all.  Left out: the mixing in of pretraining gradients; and PPO, the paper's algorithm,
is a choice (`objective: ppo`): the default compares within groups.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from moot.agents.beside import Beside
from moot.protocols.types import Episode

from ..data.examples import Rollout
from ..reward_model import RewardModel
from .reinforcement import Reinforcement, answers


class RLHF(Reinforcement):
    """Reinforce the answers that people would prefer."""

    kind: Literal["rlhf"] = "rlhf"
    file: Beside
    """People's preferences: Parquet or JSON Lines in TRL's columns `prompt`, `chosen` and
    `rejected`, or whole conversations in the latter two. Optional columns: `probability`, in [0.5,
    1], that the chosen one is better; `margin`, by how much; `chosen_finish` and `rejected_finish`,
    which are `length` if a reply was cut off."""
    centre: float = Field(default=0.0, ge=0)
    """The weight of a term that keeps rewards around zero."""

    @property
    def needs(self) -> None:
        """Answers are enough: the preferences are in the file."""
        return None

    @property
    def reward_model(self) -> RewardModel:
        """What learns the people's preferences."""
        return RewardModel(file=self.file, talk=False, soft=True, centre=self.centre)

    def examples(self, episode: Episode) -> list[Rollout]:
        """Return all answers; the reward model finds their reward."""
        return answers(episode)
