"""A weighted sum of rewards, each credited by itself.

So Intuitor's certainty is put beside other rewards (arXiv:2505.19590): every method of the sum
rewards the answers as it does alone, and its advantages are scaled by themselves, in its own groups
or its own batch, so that none drowns the others for having greater numbers; what is learnt from is
the weighted sum of the advantages, by one objective.  One that doesn't scale, as Dr. GRPO's, is
refused.  Left out: methods whose losses differ too (`laser` learns verdicts,
`rlaif` may learn a reward model first; `dpo` has `sft` for its sum).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import fsum, isnan, nan
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from moot.agents.own_kind import OrOwn
from moot.protocols.types import Episode, Signal

from ..data.examples import Rollout
from ..method import Method
from ..model.types import Encoder
from ..policy_gradient.objective import Objective
from ..types import Look
from .cat import CaT
from .empo import EMPO
from .intuitor import Intuitor
from .reinforcement import Reinforcement
from .rent import RENT
from .rlaif import RLAIF
from .rlvr import RLVR
from .srt import SRT
from .ttrl import TTRL

Summand = Annotated[
    CaT | EMPO | Intuitor | RENT | RLAIF | RLVR | SRT | TTRL,
    Field(discriminator="kind"),
    OrOwn("method that rewards answers", Method, Reinforcement),
]


class Sum(Reinforcement):
    """Reinforce the answers by several rewards at once."""

    kind: Literal["sum"] = "sum"
    of: tuple[Summand, ...] = Field(min_length=2)
    """The methods whose rewards are summed; the objective is the sum's."""
    weigh: tuple[float, ...] | None = None
    """The weight of each; 1 each if `null`."""

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.weigh is not None and len(self.weigh) != len(self.of):
            raise ValueError(
                f"`weigh` has {len(self.weigh)} numbers, and `of` {len(self.of)} methods"
            )
        if self.weigh is not None and not any(self.weigh):
            raise ValueError("`weigh` is 0 for all of `of`: nothing would be learnt")
        for one in self.of:
            if one.objective != Objective():
                raise ValueError(f"{one.kind} in a sum has the sum's `objective`: set it there")
            if one.reward_model is not None:
                other = "; take grades: set `by: grade`" if isinstance(one, RLAIF) else ""
                raise ValueError(f"{one.kind} in a sum can't have a reward model{other}")
        if self.objective.critic is not None:
            raise ValueError("a sum is of advantages over groups, and a critic's are of tokens")
        if self.objective.in_reward or self.objective.overlong:
            raise ValueError(
                "a KL or a length that is paid for in the reward would be paid for by each method "
                "of a sum: set `kl_in: loss`, and leave `overlong` out"
            )
        if self.objective.scale == "none":
            raise ValueError(
                "in a sum the greater rewards would drown the others with `scale: none`, which "
                "`dr_grpo` and `rloo` have: set `scale: group`"
            )
        return self

    @property
    def needs(self) -> Signal | None:
        """What the first needs that needs anything; `yaml.needs` asks each."""
        return next((one.needs for one in self.of if one.needs is not None), None)

    def examples(self, episode: Episode) -> list[Rollout]:
        """Return every answer that any of the methods rewards, with what it earned by each."""
        found = [{r.turn: r for r in one.examples(episode)} for one in self.of]
        turns: dict[int, list[Rollout]] = {}
        for rewarded in found:
            for turn, one in rewarded.items():
                turns.setdefault(turn, []).append(one)
        return [
            replace(
                same[0],
                reward=None,
                judges=tuple(sorted({judge for one in same for judge in one.judges})),
                earned=tuple(r[turn].reward if turn in r else nan for r in found),
            )
            for turn, same in sorted(turns.items())
        ]

    def looks(self, encode: Encoder) -> Look:
        """Return what the objective wants, and whether any reward is the policy's own word."""
        policy = any(one.looks(encode).policy for one in self._summands)
        return replace(self.objective.look(), policy=policy)

    def graded(self, examples: Sequence[Rollout], taken: int = 0) -> list[Rollout]:
        """Return the rollouts with the sums of their rewards and of their advantages.

        A rollout whose reward by any of them can't be known yet stays as it is.
        """
        found: list[list[Rollout | None]] = [[] for _ in examples]
        weigh = self.weigh or (1.0,) * len(self.of)
        for i, (method, weight) in enumerate(zip(self._summands, weigh, strict=True)):
            own = [n for n, r in enumerate(examples) if not _isnan(r.earned[i])]
            apart = [replace(examples[n], reward=examples[n].earned[i]) for n in own]
            for n, one in zip(own, method.graded(apart, taken), strict=True):
                known = None
                if one.reward is not None:
                    gain = weight * one.advantage
                    known = replace(one, reward=weight * one.reward, advantage=gain)
                found[n].append(known)
        return [_summed(*both) for both in zip(examples, found, strict=True)]

    @property
    def _summands(self) -> list[Reinforcement]:
        return [one.model_copy(update={"objective": self.objective}) for one in self.of]


def _summed(rollout: Rollout, found: Sequence[Rollout | None]) -> Rollout:
    """Return the rollout with the sums of what each method has found: reward and advantage."""
    known = [one for one in found if one is not None and one.reward is not None]
    if len(known) < len(found):
        return replace(rollout, reward=None)
    return replace(
        rollout,
        reward=fsum(one.reward or 0.0 for one in known),
        advantage=fsum(one.advantage for one in known),
        teaches=any(one.teaches for one in known),
    )


def _isnan(reward: float | None) -> bool:
    return reward is not None and isnan(reward)
