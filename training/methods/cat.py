"""CaT: Compute as Teacher (arXiv:2509.14234, section 3).

The protocol estimates a reference: by synthesis, which is the paper's way, by selection, or by a
majority vote, which makes this TTRL (arXiv:2504.16084).  How near an answer comes to it is its
reward: whether it gives the same answer, found by a verifier or by a judge of equivalence
(`match`), or the share of a rubric's criteria that it meets, which the protocol has derived from
the reference (`grade`).  Left out: the paper's flat length penalty of 1 above 750 tokens, whose
place `objective.overlong` takes.  The paper's text puts the KL into the reward and its eq. 1 into
the loss; the loss is the default, `objective.kl_in` the choice.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from moot.protocols.types import Episode, Signal

from ..data.examples import Rollout
from .options import refuse_unused
from .reinforcement import Reinforcement, rollout


class CaT(Reinforcement):
    """Reinforce the answers that come near the estimated reference."""

    kind: Literal["cat"] = "cat"
    reward: Literal["match", "grade"] = "match"
    """Agreement with the reference, or the grade given by a rubric."""
    no_answer: float | None = Field(default=0.0, ge=0, le=1)
    """The reward of a rollout without a readable answer; `null` leaves it out of its group. What
    could be read, and no judge could compare or grade, is left out in any case."""

    @model_validator(mode="after")
    def _options_are_used(self) -> Self:
        refuse_unused(self, self.reward, {"no_answer": ("match",)}, f"with `reward: {self.reward}`")
        return self

    @property
    def needs(self) -> Signal:
        """A reference, or grades."""
        return "reference" if self.reward == "match" else "grades"

    def examples(self, episode: Episode) -> list[Rollout]:
        """Return every judged answer; an episode without a reference teaches nothing.

        Frozen agents' answers count in their group: they are replies to the same question.
        """
        found = {
            v.of: v
            for v in episode.outcome.verdicts
            if v.kind == self.reward and (self.reward == "match" or v.by is None)
        }
        rollouts: list[Rollout] = []
        for of, verdict in sorted(found.items()):
            turn, reward = episode.turns[of], verdict.score
            if reward is None and turn.answer is None and self.reward == "match":
                reward = self.no_answer
            if reward is not None:
                judges = () if verdict.by is None else (verdict.by,)
                rollouts.append(rollout(episode, turn, reward, judges))
        return rollouts
