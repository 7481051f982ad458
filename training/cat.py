"""CaT: Compute as Teacher, for tasks whose answers can be compared (arXiv:2509.14234, section 3).

The protocol estimates a reference (synthesis: the paper's; consensus: a majority vote, which makes
this TTRL, arXiv:2504.16084) and says of every answer whether it agrees; here agreement is the
reward of a group-relative policy gradient.  Left out: rubric rewards for tasks that can't be
checked, and the paper's length penalty for them.  The paper's text puts the KL into the reward and
its eq. 1 into the loss; this is eq. 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from moot.agents.types import Settings
from moot.protocols.types import Episode, Signal

from .types import Encoder, Graded, Model, Rollout

if TYPE_CHECKING:
    from torch import Tensor


class CaT(Settings):
    """Reinforce the answers that agree with the synthesised reference."""

    kind: Literal["cat"] = "cat"
    scale: Literal["group", "none"] = "group"
    """Divide advantages by their group's standard deviation (GRPO), or don't (Dr. GRPO)."""
    no_answer: float | None = Field(default=0.0, ge=0, le=1)
    """The reward of a rollout that states no readable answer; `null` leaves it out of its group."""
    clip_low: float = Field(default=0.2, gt=0, lt=1)
    """How far below 1 a token's probability ratio may move before its gradient is cut."""
    clip_high: float = Field(default=0.2, gt=0)
    """How far above 1; more than `clip_low` is DAPO's clip-higher."""
    kl: float = Field(default=1e-3, ge=0)
    """The weight of the KL to the anchor; 0 saves the anchor's forward pass."""

    @property
    def needs(self) -> Signal:
        """A reference."""
        return "reference"

    def examples(self, episode: Episode) -> list[Rollout]:
        """Return the learning policies' answers, each credited against the others of its round.

        The group is every judged answer of a round, frozen agents' too: they are answers to the
        same question, by agents who had heard as much.  An episode without a reference teaches
        nothing; a group graded all alike teaches to stay near the anchor, where there is a KL, and
        else nothing: it then doesn't count in the mean of a step, as it would in TRL's.
        """
        matches = [v for v in episode.outcome.verdicts if v.kind == "match"]
        rewards = {v.of: self.no_answer if v.score is None else v.score for v in matches}
        graded = {turn: r for turn, r in rewards.items() if r is not None}
        advantage = self._credit({turn.index: turn.round for turn in episode.turns}, graded)
        judges = {v.of: (v.by,) if v.by is not None else () for v in matches}
        return [
            Rollout(
                episode=episode.id,
                turn=turn.index,
                agent=turn.agent.name,
                weights=turn.agent.weights,
                version=turn.completion.version,
                prompt=turn.prompt,
                text=turn.text,
                tokens=turn.completion.tokens,
                finish=turn.completion.finish,
                temperature=turn.agent.sampling.temperature,
                reward=graded[turn.index],
                advantage=advantage[turn.index],
                teaches=advantage[turn.index] != 0 or self.kl > 0,
                judges=judges[turn.index],
                prompt_tokens=turn.completion.prompt_tokens,
            )
            for turn in episode.turns
            if turn.index in graded and turn.agent.weights is not None
        ]

    def _credit(self, rounds: Mapping[int, int], graded: Mapping[int, float]) -> dict[int, float]:
        """Return the advantage of each graded turn within its round."""
        import torch

        from .credit import group_advantage

        found: dict[int, float] = {}
        for number in dict.fromkeys(rounds[turn] for turn in graded):
            group = [turn for turn in graded if rounds[turn] == number]
            rewards = torch.tensor([graded[turn] for turn in group])
            credit = group_advantage(rewards, scale=self.scale == "group")
            found.update(zip(group, credit.tolist(), strict=True))
        return found

    def collate(self, examples: Sequence[Rollout], encode: Encoder) -> Graded:
        """Return the rollouts as tensors."""
        import torch

        from .rows import rows

        return Graded(
            rows=rows(examples, encode),
            advantage=torch.tensor([e.advantage for e in examples]),
            reward=torch.tensor([e.reward for e in examples]),
        )

    def loss(
        self, policy: Model, anchor: Model, batch: Graded
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Return (N,) the token mean of each rollout's clipped surrogate plus its KL (eq. 1)."""
        import torch

        from .losses.policy import clipped_share, kl_to_anchor, policy_gradient, sequence_mean

        logp, entropy = policy(batch.rows)
        old = logp.detach() if batch.old is None else batch.old
        clip = {"clip_low": self.clip_low, "clip_high": self.clip_high}
        loss = policy_gradient(logp, old, batch.advantage, **clip)
        mask = batch.rows.mask
        metrics = {
            "reward": batch.reward,
            "entropy": sequence_mean(entropy, mask),
            "length": mask.sum(-1).float(),
        }
        with torch.no_grad():
            cut = clipped_share(logp, old, batch.advantage, **clip)
            metrics["clip_fraction"] = sequence_mean(cut, mask)
        if self.kl:
            drift = kl_to_anchor(logp, anchor(batch.rows).logp)
            loss = loss + self.kl * drift
            metrics["kl"] = sequence_mean(drift.detach(), mask)
        return sequence_mean(loss, mask), metrics
