"""The policy-gradient objective: from rewards to advantages, and from advantages to a loss.

One set of choices of which the named algorithms are special cases, see `algorithms`.  Left out of
all of them: DAPO's resampling of groups without contrast (they are dropped, and reported), and
PPO's minibatches within a step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import fsum, nan
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, cast

from pydantic import BeforeValidator, Field, model_validator

from moot.agents.types import Settings

from ..data.examples import Rollout
from ..model.types import Rows, Scores
from ..types import Look, Metrics
from .algorithms import LIKE
from .correction import Correction
from .critic import Critic, by_token

if TYPE_CHECKING:
    from torch import Tensor

BUDGET = 512
"""The most tokens of a completion where they are not known."""

Algorithm = Literal["grpo", "dr_grpo", "dapo", "gspo", "rloo", "reinforce++", "ppo"]
"""What `algorithms` knows by name."""


class Objective(Settings):
    """How rewards move the policy."""

    like: Algorithm = "grpo"
    """The algorithm whose settings are the defaults of the other keys."""
    baseline: Literal["group", "others", "none"] = "group"
    """What is subtracted from a reward: the group's mean, the mean of the group's other rewards, or
    nothing."""
    scale: Literal["group", "batch", "none"] = "group"
    """The standard deviation that advantages are divided by."""
    ratio: Literal["token", "mean", "sum"] = "token"
    """The importance ratio: of each token, the mean over the completion's tokens, or of the whole
    completion."""
    clip_low: float = Field(default=0.2, gt=0, lt=1)
    """The ratio is clipped at 1 - clip_low."""
    clip_high: float = Field(default=0.2, gt=0)
    """The ratio is clipped at 1 + clip_high; more than `clip_low` is DAPO's clip-higher."""
    dual_clip: float | None = Field(default=None, gt=1)
    """With a negative advantage, the ratio above which there is no gradient (dual-clip PPO)."""
    mean: Literal["sequence", "token", "budget"] = "sequence"
    """What the loss is the mean over: completions, tokens, or completions' sums divided by
    `budget`."""
    budget: int | None = Field(default=None, ge=1)
    """What a completion's sum is divided by if `mean` is `budget` (Dr. GRPO), in tokens; by default
    the most tokens it might have had."""
    kl: float = Field(default=1e-3, ge=0)
    """The weight of the KL to the anchor; 0 saves the anchor's forward pass."""
    kl_by: Literal["k1", "k2", "k3"] = "k3"
    """The estimator of the KL."""
    kl_in: Literal["loss", "reward"] = "loss"
    """Whether the KL is part of the loss or of the reward; in the reward it is summed over the
    completion's tokens."""
    entropy: float = Field(default=0.0, ge=0)
    """The weight of the entropy bonus."""
    cut: Literal["keep", "drop"] = "keep"
    """Whether completions that reached `max_tokens` are kept, or left out (DAPO's overlong
    filtering)."""
    overlong: int = Field(default=0, ge=0)
    """Over how many tokens before `max_tokens` a penalty rises to 1 (DAPO's soft overlong
    punishment)."""
    critic: Critic | None = None
    """The value head, if there is one: it takes the place of `baseline` and `scale`, and a KL in
    the reward is then each token's own."""
    correct: Correction | None = None
    """Importance correction, for engines whose log-probabilities differ from the trainer's; needs
    temperature 1."""

    @model_validator(mode="before")
    @classmethod
    def _like(cls, data: Any) -> Any:
        """Set what the algorithm is like; what is said beside it has the last word."""
        if not isinstance(data, dict):
            return data
        given = cast(dict[str, Any], data)
        return {**LIKE.get(str(given.get("like")), {}), **given}

    @model_validator(mode="after")
    def _all_is_used(self) -> Self:
        if self.mean != "budget":
            self.refuse("budget", where=f"with `mean: {self.mean}`: set `mean: budget`")
        if self.critic is not None:
            self.refuse("baseline", "scale", where="with a `critic`: it says what is expected")
        return self

    def usual(self, name: str) -> Any:
        """Return what an option is by the algorithm that this is like."""
        return LIKE[self.like].get(name, super().usual(name))

    def look(self) -> Look:
        """Return what must be known from the models."""
        return Look(
            policy=self.in_reward or self.correct is not None or self.critic is not None,
            anchor=self.kl > 0,
            scalar=self.critic is not None,
            old=True,
            entropy=self.entropy > 0,
            sampled=True,
        )

    @property
    def in_reward(self) -> bool:
        """Whether the KL to the anchor counts in the reward."""
        return self.kl > 0 and self.kl_in == "reward"

    def credited(self, rollouts: Sequence[Rollout]) -> list[Rollout]:
        """Return the rollouts with their advantages, each against the others of its group.

        With a value head, each token against what was expected of it.

        A group whose rewards are all alike shows no contrast.  It teaches to stay near the anchor,
        where there is a KL in the loss, and else nothing, and isn't in a step's mean, as it would
        be in TRL's.  A rollout without a reward stays as it is, and is in no group.
        """
        if self.critic is not None:
            return self.critic.credited(rollouts, self._earned, self._paid, self.teaches)
        groups: dict[tuple[str, int], dict[int, float]] = {}
        for i, reward in self._rewards(rollouts).items():
            groups.setdefault(rollouts[i].group, {})[i] = reward
        found = self.advantages(groups.values())
        apart = {i for group in groups.values() if any(found[i] for i in group) for i in group}
        return [
            replace(r, advantage=found[i], teaches=self.teaches(r, i in apart)) if i in found else r
            for i, r in enumerate(rollouts)
        ]

    def advantages(self, groups: Iterable[Mapping[int, float]]) -> dict[int, float]:
        """Return how much better each did than its group, from what each earned, by any number."""
        from .credit import advantages

        return advantages(groups, baseline=self.baseline, scale=self.scale)

    def _earned(self, rollout: Rollout) -> float:
        """Return what a rollout earned, less what is taken off for its length."""
        from .credit import overlong

        assert rollout.reward is not None
        said = rollout.said
        if not self.overlong or not said.most:
            return rollout.reward
        return rollout.reward + overlong(said.length, said.most, self.overlong)

    def _rewards(self, rollouts: Sequence[Rollout]) -> dict[int, float]:
        """Return what each earned, by its place, less its KL to the anchor where that counts there.

        The KL is known of the learner's own.  The others in their groups pay what these pay in the
        mean: or else who spoke would set answers apart that are equally good.
        """
        earned = {i: self._earned(r) for i, r in enumerate(rollouts) if r.reward is not None}
        paid = {i: fsum(each) for i in earned if (each := self._paid(rollouts[i]))}
        usual = fmean(paid.values()) if paid else 0.0
        return {i: reward - paid.get(i, usual) for i, reward in earned.items()}

    def _paid(self, rollout: Rollout) -> list[float]:
        """Return what each token pays for its KL to the anchor; nothing where that isn't known."""
        import torch

        from ..losses.policy import kl

        known = rollout.said.known
        if not self.in_reward or not known.logp or not known.anchor:
            return []
        each = kl(torch.tensor([known.logp]), torch.tensor([known.anchor]), self.kl_by)
        return (self.kl * each[0]).tolist()

    def teaches(self, rollout: Rollout, apart: bool) -> bool:
        """Return whether a rollout counts in the loss: `apart` is whether its group differs."""
        if rollout.said.cut and self.cut == "drop":
            return False
        held = (self.kl > 0 and self.kl_in == "loss") or self.entropy > 0
        return rollout.weights is not None and (apart or held)

    def sizes(self, rows: Rows) -> Tensor:
        """Return (N,) how much each completion counts in the mean."""
        import torch

        return rows.mask.sum(-1).float() if self.mean == "token" else torch.ones(len(rows))

    def loss(
        self, policy: Scores, rows: Rows, rollouts: Sequence[Rollout]
    ) -> tuple[Tensor, Metrics]:
        """Return (N,) losses, to be divided by `sizes` in the sum, and what was seen.

        Where the log-probabilities before training are not known, the policy still is the one
        that spoke.
        """
        import torch

        from ..losses import policy as losses

        logp, mask = policy.logp, rows.mask
        old = logp.detach() if rows.old is None else rows.old
        gain = torch.tensor([r.advantage for r in rollouts], device=logp.device)
        if self.critic is not None:
            gain = by_token([r.gains for r in rollouts], rows)
        clip = {"clip_low": self.clip_low, "clip_high": self.clip_high}
        ratio = losses.importance(logp, old, mask, self.ratio)
        loss = losses.surrogate(ratio, gain, **clip, dual_clip=self.dual_clip)
        earned = [nan if r.reward is None else r.reward for r in rollouts]
        metrics: dict[str, Tensor] = {
            "reward": torch.tensor(earned, device=logp.device),
            "clip_fraction": losses.mean(losses.clipped(ratio.detach(), gain, **clip), mask),
        }
        if self.correct is not None:
            factor, metrics["correction"] = self.correct.factors(old, rows)
            loss = loss * factor
        if self.kl and self.kl_in == "loss" and rows.anchor is not None:
            loss = loss + self.kl * losses.kl(logp, rows.anchor, self.kl_by)
        if self.critic is not None:
            loss = loss + self.critic.loss(policy, rows, rollouts)
        if self.entropy:
            loss = loss - self.entropy * policy.entropy
        return self._gathered(loss, mask, rollouts), metrics

    def _gathered(self, loss: Tensor, mask: Tensor, rollouts: Sequence[Rollout]) -> Tensor:
        """Return (N,) each completion's part of the sum that is divided by the sum of sizes."""
        import torch

        from ..losses.policy import mean, total

        if self.mean == "sequence":
            return mean(loss, mask)
        if self.mean == "token":
            return total(loss, mask)
        budgets = [self.budget or r.said.most or BUDGET for r in rollouts]
        return total(loss, mask) / torch.tensor(budgets, device=loss.device)


Named = Annotated[
    Objective,
    BeforeValidator(
        lambda said: {"like": said} if isinstance(said, str) else said,
        json_schema_input_type=Algorithm | Objective,
    ),
]
"""An algorithm's name, or the settings of an objective."""
