"""LaSeR: reinforcement learning with last-token self-rewarding (arXiv:2510.14943).

Beside its answers a policy learns a verdict on them: β · (log π(z | x, y) - c) of a token z that no
chat uses, read right after the answer's last token, is to be 1 for a right answer and 0 for a wrong
one.  The verdict then shares in the advantage.  z is the tokenizer's own spare token; c, what the
anchor gives z in the mean, is measured on the cycle's answers.  Here log π(z) is computed at its
own place by name; in the published code the forward pass that advantages are made from appears not
to hold z at all.

Who is right says the task's verifier, or, without labels, agreement with the protocol's reference.
Answers that ran into their most tokens learn no verdict and have no part in c, and theirs counts as
0 in their group, as published.  Verdicts are a policy's on what it learns from, and share in the
advantages of these answers alone, by the objective's own baseline and scale.  What was learnt is
used by `weigh: self_reward` of a vote, `by: self_reward` of a selection, and judging of kind
`self_reward`.  Otherwise than there, class weights, warm-ups and c are a cycle's: warm-ups count
the optimiser steps taken before it, and c, which the paper measures once before training, is
measured again on what is said now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from moot.agents.errors import MootError
from moot.protocols.types import Episode, Signal

from ..data.examples import Rollout
from ..model.types import Encoder, Rows, Scores
from ..policy_gradient.objective import Named, Objective
from ..types import Look, Metrics
from .reinforcement import Reinforcement, rollout, verified

if TYPE_CHECKING:
    from torch import Tensor


class LaSeR(Reinforcement):
    """Reinforce right answers, and learn to tell them from wrong ones."""

    kind: Literal["laser"] = "laser"
    objective: Named = Objective(kl=0.0)
    """How rewards move the policy; left out, it is `grpo` without a KL, as published."""
    reward: Literal["verified", "match"] = "verified"
    """Which answers are right: by the task's known answer, or by agreement with the reference."""
    beta: float = Field(default=0.1, gt=0)
    """β: a verdict of 1 is 1/β nats above c."""
    alpha: float = Field(default=0.1, ge=0)
    """α: the weight of the verdicts' loss."""
    share: float = Field(default=0.1, ge=0, le=1)
    """τ: the share of the verdict in the advantage."""
    least_std: float = Field(default=0.1, ge=0)
    """T: verdicts have no share in a group whose verdicts' standard deviation is at most this."""
    reasoning_steps: int = Field(default=0, ge=0)
    """Steps of the run before verdicts are learnt (200 in the paper for base models)."""
    verdict_steps: int = Field(default=0, ge=0)
    """Steps after these before verdicts share in the advantage (200 in the paper)."""
    constant: bool = True
    """Whether c is the mean over answers; otherwise it is, in training, what the anchor gives to z
    after each answer: later verdicts are read with the mean."""

    @model_validator(mode="after")
    def _shares_with_whole_answers(self) -> Self:
        if self.share and self.objective.critic is not None:
            raise ValueError(
                "`share` is in the advantage of an answer, and a critic's are of tokens: 0"
            )
        return self

    @model_validator(mode="after")
    def _all_is_used(self) -> Self:
        if not self.share:
            self.refuse("verdict_steps", "least_std", where="with `share: 0`")
        if not self.share and not self.alpha:
            self.refuse("reasoning_steps", where="with `alpha: 0` and `share: 0`")
        return self

    @property
    def needs(self) -> Signal | None:
        """Known answers, or a reference."""
        return None if self.reward == "verified" else "reference"

    def examples(self, episode: Episode) -> list[Rollout]:
        """Return the answers, 1 for the right and 0 for the wrong; of an unknown task, none.

        An answer that can't be read is wrong; one that a judge couldn't compare is left out.
        """
        if self.reward == "match":
            matches = {v.of: v.score for v in episode.outcome.verdicts if v.kind == "match"}
            return [
                rollout(episode, episode.turns[of], 0.0 if score is None else score)
                for of, score in matches.items()
                if score is not None or episode.turns[of].answer is None
            ]
        return verified(episode)

    def looks(self, encode: Encoder) -> Look:
        """Return that z is wanted, under the policy and under the anchor."""
        spare = encode.spare
        if spare is None:
            raise MootError(
                "method laser: the tokenizer has no special token that no chat uses and that the "
                "model has an embedding for, and its verdicts need one: add one, such as "
                "<|reserved_0|>, to both, or take another model"
            )
        look = self.objective.look()
        return replace(look, policy=True, anchor=True, probe=spare, beta=self.beta)

    def graded(self, examples: Sequence[Rollout], taken: int = 0) -> list[Rollout]:
        """Return the rollouts with their advantages, verdicts mixed in, and the verdicts' goals."""
        found = self.objective.credited(self._measured(examples))
        if self.alpha and taken >= self.reasoning_steps:
            found = self._with_goals(found)
        if self.share and taken >= self.reasoning_steps + self.verdict_steps:
            found = self._mixed(found)
        return found

    def _mixed(self, rollouts: Sequence[Rollout]) -> list[Rollout]:
        """Return the rollouts, verdicts sharing in the advantages of the groups they differ in."""
        groups: dict[tuple[str, int], dict[int, float]] = {}
        for i, one in enumerate(rollouts):
            if one.said.known.probe is not None and one.reward is not None:
                groups.setdefault(one.group, {})[i] = self._verdict(one)
        differing = [
            g for g in groups.values() if len(g) > 1 and stdev(g.values()) > self.least_std
        ]
        found = list(rollouts)
        for i, gain in self.objective.advantages(differing).items():
            one = found[i]
            both = (1 - self.share) * one.advantage + self.share * gain
            teaches = one.teaches or self.objective.teaches(one, both != 0)
            found[i] = replace(one, advantage=both, teaches=teaches)
        return found

    def _measured(self, examples: Sequence[Rollout]) -> list[Rollout]:
        """Return the rollouts with c in place of what the anchor gives z after each."""
        whole = [r.said.known.anchor_probe for r in examples if not r.said.cut]
        seen = [constant for constant in whole if constant is not None]
        if not self.constant or not seen:
            return list(examples)
        mean = fmean(seen)
        return [
            replace(r, said=replace(r.said, known=replace(r.said.known, anchor_probe=mean)))
            for r in examples
        ]

    def _with_goals(self, rollouts: Sequence[Rollout]) -> list[Rollout]:
        """Return the rollouts with their verdicts' goals, right and wrong weighing alike.

        Where the loss is a mean of tokens, a verdict counts as the mean answer's tokens do.
        """
        import torch

        from ..losses.self_reward import balance

        judged = [
            i
            for i, r in enumerate(rollouts)
            if not r.said.cut and r.said.known.probe is not None and r.weights is not None
        ]
        goals = torch.tensor([rollouts[i].reward or 0.0 for i in judged])
        token = self.objective.mean == "token"
        size = fmean(len(rollouts[i].said.known.logp) for i in judged) if token and judged else 1.0
        weights = dict(zip(judged, (size * balance(goals)).tolist(), strict=True))
        return [
            replace(r, target=r.reward, weight=weights[i], teaches=True) if i in weights else r
            for i, r in enumerate(rollouts)
        ]

    def _verdict(self, rollout: Rollout) -> float:
        """Return the verdict before training, within [0, 1]; 0 of an answer that was cut off."""
        known = rollout.said.known
        if rollout.said.cut or known.probe is None or known.anchor_probe is None:
            return 0.0
        return min(1.0, max(0.0, self.beta * (known.probe - known.anchor_probe)))

    def loss(
        self, policy: Scores, rows: Rows, examples: Sequence[Rollout]
    ) -> tuple[Tensor, Metrics]:
        """Return (N,) the objective's losses, with the verdicts' beside them."""
        import torch

        from ..losses.self_reward import self_reward, self_reward_loss

        loss, metrics = self.objective.loss(policy, rows, examples)
        assert policy.probe is not None, "it was looked for"
        goals, constants, weights = (
            torch.tensor(column, device=loss.device)
            for column in zip(*((_goal(e), _constant(e), e.weight) for e in examples), strict=True)
        )
        verdicts = self_reward(policy.probe, constants, self.beta)
        known = ~goals.isnan()
        # Not nan under the mask: its gradient would be nan too.
        error = self_reward_loss(verdicts, goals.nan_to_num(), weights)
        loss = loss + self.alpha * error.masked_fill(~known, 0.0)
        told = ((verdicts > 0.5) == (goals > 0.5)).float().masked_fill(~known, torch.nan)
        return loss, {
            **metrics,
            "verdict_loss": error.detach().masked_fill(~known, torch.nan),
            "verdicts_on_right": told.masked_fill(goals <= 0.5, torch.nan),
            "verdicts_on_wrong": told.masked_fill(goals > 0.5, torch.nan),
        }


def _goal(rollout: Rollout) -> float:
    return float("nan") if rollout.target is None else rollout.target


def _constant(rollout: Rollout) -> float:
    return rollout.said.known.anchor_probe or 0.0
