"""The one training loop."""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from moot.agents.errors import MootError

from .checkpoint import Progress, latest, save
from .learner import Learner
from .rows import parts
from .settings import Fit
from .types import Encoder, Graded, Method, Rollout

Metrics = dict[str, float]


def fit(
    learner: Learner,
    method: Method,
    examples: Sequence[Rollout],
    encode: Encoder,
    settings: Fit,
    *,
    seed: int,
    start: Progress,
    folder: Path,
) -> Iterator[tuple[int, Metrics]]:
    """Train the learner's adapter in place, yielding each step's number and metrics.

    The same arguments give the same weights, to the last bit on the CPU, whether the training was
    interrupted or not: a checkpoint in `folder` holds adapter, optimiser and step, and is where a
    second call goes on.  Steps that were taken by then are not yielded again.

    Args:
        learner: holding the weights that spoke.
        method: whose loss is minimised.
        examples: what the cycle taught.
        encode: turns them into tokens.
        settings: how long and how fast.
        seed: decides the order of the examples.
        start: how the cycle before ended: the optimiser's state, and the steps of all cycles.
        folder: where this training's checkpoints go.
    """
    steps = [
        [method.collate(part, encode) for part in parts(step, encode, settings.batch_tokens)]
        for step in schedule(examples, settings, seed)
    ]
    # In the first step the policy still is the one that spoke; from the second on it is not.
    steps[1:] = [[replace(part, old=_old(learner, part)) for part in step] for step in steps[1:]]
    parameters = learner.parameters()
    optimizer = torch.optim.AdamW(
        parameters.values(), lr=settings.lr, weight_decay=settings.weight_decay
    )
    resumed = latest(folder)
    if resumed is not None:
        learner.set(resumed.adapter)
    (resumed or start).restore(optimizer, parameters)
    for step in range(resumed.step if resumed else 0, len(steps)):
        for group in optimizer.param_groups:
            group["lr"] = settings.lr * _warm(start.taken + step, settings.warmup_steps)
        metrics = _step(learner, method, steps[step], optimizer, settings.clip_norm)
        yield step, metrics
        if (step + 1) % settings.checkpoint_every == 0 and step + 1 < len(steps):
            save(folder, learner, optimizer, step=step + 1, taken=start.taken + step + 1)
    save(folder, learner, optimizer, step=len(steps), taken=start.taken + len(steps))


def schedule(examples: Sequence[Rollout], settings: Fit, seed: int) -> list[list[Rollout]]:
    """Return the examples of each step: whole groups, in a seeded order, `epochs` times over.

    Those that teach nothing are left out, and with them goes the work.
    """
    groups: dict[str, list[Rollout]] = {}
    for example in examples:
        if example.teaches:
            groups.setdefault(example.episode, []).append(example)
    order = random.Random(seed)
    steps: list[list[Rollout]] = []
    for _ in range(settings.epochs):
        names = sorted(groups)
        order.shuffle(names)
        chunks = [names[i : i + settings.groups] for i in range(0, len(names), settings.groups)]
        steps += [[example for name in chunk for example in groups[name]] for chunk in chunks]
    return steps


def _old(learner: Learner, batch: Graded) -> Tensor:
    with torch.no_grad():
        return learner.policy(batch.rows.to(learner.device)).logp.cpu()


def _step(
    learner: Learner,
    method: Method,
    parts: Sequence[Graded],
    optimizer: torch.optim.Optimizer,
    clip_norm: float,
) -> Metrics:
    """Take one optimiser step on the mean loss over all parts, and return what was seen."""
    n = sum(map(len, parts))
    sums: dict[str, float] = {}
    optimizer.zero_grad()
    for part in parts:
        losses, metrics = method.loss(learner.policy, learner.anchor, part.to(learner.device))
        (losses.sum() / n).backward()
        for name, values in {"loss": losses.detach(), **metrics}.items():
            sums[name] = sums.get(name, 0.0) + values.sum().item()
    norm = nn.utils.clip_grad_norm_(list(learner.parameters().values()), clip_norm).item()
    means = {name: total / n for name, total in sums.items()}
    if not all(map(math.isfinite, [norm, *means.values()])):
        raise MootError(
            f"training: a number that isn't finite (loss {means['loss']}, gradient norm {norm}); "
            "the weights of before this step are kept; a lower fit.lr may help"
        )
    optimizer.step()
    return {**means, "grad_norm": norm, "completions": float(n)}


def _warm(step: int, warmup: int) -> float:
    return min(1.0, (step + 1) / (warmup + 1))
