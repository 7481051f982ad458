"""Rollouts of six episodes, and a training on them."""

from collections.abc import Iterator
from pathlib import Path

from moot.agents.embedded.tokens import Tokens
from moot.agents.types import Message
from moot.training.checkpoint import Progress
from moot.training.data.examples import Example, Rollout, Said
from moot.training.fit import fit
from moot.training.job import Step
from moot.training.look import by_anchor
from moot.training.methods.cat import CaT
from moot.training.model.architecture import base
from moot.training.model.learner import Learner
from moot.training.policy_gradient.objective import Objective
from moot.training.settings import Fit, Lora

FIT = Fit(lr=1e-2, groups=2, lora=Lora(rank=4, alpha=8))


def rollout(episode: int, i: int, advantage: float) -> Rollout:
    said = Said(
        prompt=(Message("user", f"{episode} + {i % 2}"),),
        text=str(i),
        tokens=(5 + i, 9 - i, 4)[: 1 + i % 3],
        finish="length",
        temperature=0.7,
    )
    reward = float(advantage > 0)
    return Rollout(f"e{episode}", i, 0, "a", "w", 0, said, reward, advantage)


EXAMPLES = [rollout(e, i, 1.0 if i == e % 4 else -1 / 3) for e in range(6) for i in range(4)]


def training(
    model: Path,
    folder: Path,
    *,
    settings: Fit = FIT,
    examples: list[Rollout] = EXAMPLES,
    method: CaT | None = None,
    start: Progress | None = None,
    weights: Path | None = None,
) -> tuple[Learner, Iterator[Step]]:
    learner = Learner(base(model, settings), settings, weights, seed=1, model=model)
    method = method or CaT(objective=Objective(kl=0.1))
    encode = Tokens(model)
    steps = fit(
        learner,
        method,
        with_anchor(learner, examples, encode),
        encode,
        settings,
        seed=2,
        start=start or Progress(),
        folder=folder,
    )
    return learner, steps


def with_anchor(learner: Learner, examples: list[Rollout], encode: Tokens) -> list[Example]:
    """The examples with what the anchor thinks of them, and the advantages they were given."""
    return list(by_anchor(learner, examples, encode, 1024))
