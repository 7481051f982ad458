"""A reward model: what judges, or people, prefer, as a number for any reply.

A scalar head on the last token of a reply, and an adapter of its own on the same base, learn from
preferences under the Bradley-Terry model (`losses.reward`); a judge's probability is a soft label
(RLAIF, arXiv:2309.00267).  It is a method like any other, but that what learns is the judge.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from pydantic import Field

from .data.examples import Example, Pair, Rollout
from .model.types import Encoder, Rows, Scores
from .preferring import Preferring
from .types import Look, Metrics

if TYPE_CHECKING:
    from torch import Tensor

    from .model.learner import Learner


class RewardModel(Preferring):
    """How the reward model learns."""

    soft: bool = True
    """Whether the judges' probability is the label; otherwise the likelier side is taken as
    right."""
    centre: float = Field(default=0.0, ge=0)
    """The weight of a term that keeps rewards around zero."""

    @property
    def kind(self) -> str:
        """Its name."""
        return "reward_model"

    def looks(self, encode: Encoder) -> Look:
        """Return that nothing must be known."""
        return Look()

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
    learner: Learner,
    examples: Sequence[Example],
    encode: Encoder,
    tokens: int,
    holds: Callable[[Example], bool] = lambda _: True,
) -> list[Example]:
    """Return the examples, the rollouts among them at the reward that the model gives them.

    Every process rewards parts of its own, and all get to know what was given.

    Args:
        learner: the reward model.
        examples: of a cycle.
        encode: turns them into tokens.
        tokens: the most in one forward pass.
        holds: whether the model has room for an example; what it hasn't is left as it is.
    """
    import torch

    from . import world
    from .model.rows import columns, microbatches, moved, rows

    waiting = [e for e in examples if isinstance(e, Rollout) and e.reward is None and holds(e)]
    found: dict[int, list[float]] = {}
    parts = list(microbatches(waiting, encode, tokens, form=learner.form))
    for i, part, counts in world.dealt(parts):
        with torch.no_grad():
            scores = learner.policy(moved(rows(columns(part), encode), learner.device))
        assert scores.reward is not None, "a reward model has a scalar head"
        found |= {i: scores.reward.tolist()} if counts else {}
    given = zip(waiting, chain.from_iterable(world.gathered(found)), strict=True)
    graded = {id(one): replace(one, reward=reward) for one, reward in given}
    return [graded.get(id(example), example) for example in examples]
