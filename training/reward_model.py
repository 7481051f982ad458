"""A reward model: what judges, or people, prefer, as a number for any reply.

A scalar head on the last token of a reply, and an adapter of its own on the same base, learn from
preferences under the Bradley-Terry model (`losses.reward`); a judge's probability is a soft label
(RLAIF, arXiv:2309.00267).  It is a method like any other, but that what learns is the judge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from moot.agents.beside import Beside
from moot.agents.types import Settings
from moot.protocols.types import Episode, Signal

from .types import Encoder, Example, Look, Metrics, Pair, Rollout, Rows, Scores

if TYPE_CHECKING:
    from torch import Tensor

    from .learner import Learner


class RewardModel(Settings):
    """How the reward model learns."""

    file: Beside | None = None
    """Preferences to learn from in every cycle, Parquet or JSON Lines, in TRL's columns."""
    talk: bool = True
    """Whether to learn from the protocol's preferences."""
    soft: bool = True
    """Whether the judges' probability is the label; else the likelier side is simply right."""
    sure: float = Field(default=0.5, ge=0.5, le=1)
    """The least probability of a preference that is learnt from."""
    centre: float = Field(default=0.0, ge=0)
    """The weight of a term that keeps rewards around zero."""

    @property
    def kind(self) -> str:
        """Its name."""
        return "reward_model"

    @model_validator(mode="after")
    def _has_preferences(self) -> Self:
        if self.file is None and not self.talk:
            raise ValueError("no preferences to learn from: name a `file`, or leave `talk` true")
        return self

    @property
    def needs(self) -> Signal | None:
        """Preferences, unless a file has them all."""
        return "preferences" if self.talk else None

    @property
    def reward_model(self) -> None:
        """It is one itself."""
        return None

    def given(self) -> list[Pair]:
        """Return the file's preferences, as far as they are sure enough."""
        from .preferences import read

        return [] if self.file is None else read(Path(self.file), self.sure)

    def examples(self, episode: Episode) -> list[Pair]:
        """Return the episode's preferences, as far as they are sure enough."""
        from .preferences import pairs

        return pairs(episode, self.sure) if self.talk else []

    def looks(self, encode: Encoder) -> Look:
        """Return that nothing must be known."""
        return Look()

    def graded(self, examples: Sequence[Pair], taken: int = 0) -> list[Pair]:
        """Return the pairs as they are."""
        return list(examples)

    def sizes(self, examples: Sequence[Pair], rows: Rows) -> Tensor:
        """Return (P,) ones: pairs count alike."""
        import torch

        return torch.ones(len(examples))

    def loss(self, policy: Scores, rows: Rows, examples: Sequence[Pair]) -> tuple[Tensor, Metrics]:
        """Return (P,) cross-entropies of the preferences, and how many the model shares."""
        import torch

        from .losses.reward import bradley_terry, centring

        assert policy.reward is not None, "a reward model has a scalar head"
        chosen, rejected = policy.reward.chunk(2)
        labels = torch.tensor(
            [[e.probability if self.soft else 1.0, e.margin] for e in examples],
            device=chosen.device,
        )
        loss = bradley_terry(chosen, rejected, probability=labels[:, 0], margin=labels[:, 1])
        if self.centre:
            loss = loss + self.centre * centring(chosen, rejected)
        lead = (chosen - rejected).detach()
        return loss, {"preferred": (lead > 0).float(), "margin": lead}


def rewarded(
    learner: Learner, examples: Sequence[Example], encode: Encoder, tokens: int
) -> list[Example]:
    """Return the examples, the rollouts among them at the reward that the model gives them.

    Args:
        learner: the reward model.
        examples: of a cycle.
        encode: turns them into tokens.
        tokens: the most in one forward pass.
    """
    import torch

    from .rows import columns, moved, parts, rows

    waiting = [e for e in examples if isinstance(e, Rollout) and e.reward is None]
    found: list[Example] = []
    for part in parts(waiting, encode, tokens):
        with torch.no_grad():
            scores = learner.policy(moved(rows(columns(part), encode), learner.device))
        assert scores.reward is not None, "a reward model has a scalar head"
        found += [
            replace(one, reward=reward)
            for one, reward in zip(part, scores.reward.tolist(), strict=True)
        ]
    graded = {id(old): new for old, new in zip(waiting, found, strict=True)}
    return [graded.get(id(example), example) for example in examples]
