"""A value head on the policy, by which each token is credited and not a completion as a whole.

PPO as it is used on language models (arXiv:2203.02155; the estimate of arXiv:1506.02438): the
reward comes after the last token, every token pays for its own KL to the anchor, and what the head
expected is what a token is measured against.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import Field

from moot.agents.types import Settings

from ..data.examples import Rollout
from ..model.types import Rows, Scores

if TYPE_CHECKING:
    from torch import Tensor


class Critic(Settings):
    """The value head, and how tokens are credited by it."""

    weight: float = Field(default=0.1, gt=0)
    """The weight of the value head's loss."""
    clip: float = Field(default=0.2, gt=0)
    """How far its prediction may move from the one before training (value clipping)."""
    discount: float = Field(default=1.0, gt=0, le=1)
    """The discount factor γ."""
    trace: float = Field(default=0.95, ge=0, le=1)
    """λ of the generalised advantage estimate."""
    whiten: bool = True
    """Whether advantages are centred and scaled over all tokens of the cycle."""

    def credited(
        self,
        rollouts: Sequence[Rollout],
        reward: Callable[[Rollout], float],
        paid: Callable[[Rollout], Sequence[float]],
        teaches: Callable[[Rollout, bool], bool],
    ) -> list[Rollout]:
        """Return the rollouts with the advantage and the return of each token.

        Args:
            rollouts: those that the head hasn't looked at stay as they are; those that it has, and
                that have no reward, teach nothing.
            reward: what a rollout earned after its last token.
            paid: what each of its tokens pays for its KL to the anchor; empty: nothing.
            teaches: whether a rollout counts in the loss, where there is something to learn.
        """
        import torch

        from .credit import batch_scaled, generalised

        found: dict[int, tuple[Tensor, Tensor]] = {}
        for i, one in enumerate(rollouts):
            known = one.said.known
            if one.reward is None or not known.value:
                continue
            values = torch.tensor(known.value)
            earned = -torch.tensor(paid(one) or [0.0] * len(values))
            earned[-1] += reward(one)
            gains = generalised(earned, values, discount=self.discount, trace=self.trace)
            found[i] = gains, gains + values
        if self.whiten and found:
            lengths = [len(gains) for gains, _ in found.values()]
            scaled = batch_scaled(torch.cat([gains for gains, _ in found.values()]))
            pieces = zip(scaled.split(lengths), found.values(), strict=True)
            found = {i: (new, after) for i, (new, (_, after)) in zip(found, pieces, strict=True)}
        credited = [replace(r, teaches=False) if r.said.known.value else r for r in rollouts]
        for i, (gains, returns) in found.items():
            credited[i] = replace(
                rollouts[i],
                advantage=gains.mean().item(),
                gains=tuple(gains.tolist()),
                returns=tuple(returns.tolist()),
                teaches=teaches(rollouts[i], True),  # at any advantage the head has to learn
            )
        return credited

    def loss(self, policy: Scores, rows: Rows, rollouts: Sequence[Rollout]) -> Tensor:
        """Return (N, T) the head's weighted errors."""
        from ..losses.policy import value

        assert policy.value is not None, "a value head was asked for"
        returns = by_token([r.returns for r in rollouts], rows)
        before = by_token([r.said.known.value for r in rollouts], rows)
        return self.weight * value(policy.value, before, returns, clip=self.clip)


def by_token(values: Sequence[Sequence[float]], rows: Rows) -> Tensor:
    """Return (N, T) the values of each row's tokens, 0 under padding."""
    import torch

    flat = torch.tensor([v for row in values for v in row], device=rows.mask.device)
    return torch.zeros(rows.mask.shape, device=rows.mask.device).masked_scatter(rows.mask, flat)
