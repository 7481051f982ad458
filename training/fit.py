"""The one training loop."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import compress
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from moot.agents.errors import MootError

from . import world
from .checkpoint import Progress
from .data.examples import Example, Rollout
from .data.filed import Filed
from .job import Step
from .look import by_anchor, by_policy, drifted
from .method import Method
from .model.learner import Learner
from .model.rows import columns, microbatches, moved, rows
from .model.types import Encoder
from .nonsense import named, refuse_gradient, refuse_losses
from .optimiser import Optimiser
from .policy_gradient.objective import Objective
from .schedule import schedule
from .seen import of_rows
from .settings import Fit
from .types import Look
from .variety import variety


def fit(
    learner: Learner,
    method: Method[Any],
    examples: Sequence[Example],
    encode: Encoder,
    settings: Fit,
    *,
    seed: int,
    start: Progress,
    folder: Path,
) -> Iterator[Step]:
    """Train the learner in place, yielding each step's number and metrics.

    The same arguments give the same weights, to the last bit on the CPU, whether the training was
    interrupted or not: a checkpoint in `folder` holds weights, optimiser and step, and is where a
    second call goes on.  Steps that were taken by then are not yielded again.  Several processes
    (`world`) share a step's work, and are in step with each other; the result is that of one, up to
    float rounding.

    Args:
        learner: holding the weights that spoke.
        method: whose loss is minimised.
        examples: what it learns from, graded.
        encode: turns them into tokens.
        settings: how long and how fast.
        seed: decides the order of the examples.
        start: how the cycle before ended: the optimiser's state, and the steps of all cycles.
        folder: where this training's checkpoints go.

    Raises:
        MootError: a number isn't finite, or a guard says to fail; the last good weights are kept.
    """
    look = method.looks(encode)
    steps: list[Sequence[Example]] = [*schedule(examples, settings, seed)]
    if look.old and not look.policy:
        # In the first step the policy still is what it was before training.
        steps[1:] = _remembered(learner, steps[1:], encode, settings.batch_tokens)
    optimiser = Optimiser(learner, settings, start, folder)
    for step in range(optimiser.done, len(steps)):
        try:
            metrics = _descend(learner, method, steps[step], look, encode, settings)
        except MootError:
            optimiser.keep()
            raise
        if broken := settings.guards.broken(metrics):
            yield step, {**metrics, "guarded": 1.0}
            if settings.guards.then == "fail":
                optimiser.keep()
                what = f"the step was of {named(steps[step])}"
                raise MootError(
                    f"training: {broken}; {what}; the weights of before this step are kept"
                )
            if settings.guards.then == "rollback":
                optimiser.roll_back()
            break
        optimiser.step()
        yield step, metrics
        optimiser.keep_some()
    optimiser.end(len(steps))


def graded(
    learner: Learner,
    method: Method[Any],
    examples: Sequence[Example],
    encode: Encoder,
    settings: Fit,
    mine: Callable[[Example], bool],
    taken: int = 0,
    keep: Callable[[Iterable[Example]], Sequence[Example]] = list,
) -> Sequence[Example]:
    """Return the learner's own examples as the method grades them.

    What the models think of them is found out first, where that is wanted.

    Args:
        learner: holding the weights that spoke.
        method: says what it must know, and grades.
        examples: what the cycle taught, whoever is to learn it: groups are credited whole.
        encode: turns them into tokens.
        settings: of `fit`.
        mine: which of the examples this learner learns from.
        taken: optimiser steps taken since the run began.
        keep: makes a sequence of the examples as they come; what it keeps in a file is not graded,
            since that would need all of them at once: preferences and demonstrations never are.
    """
    look = method.looks(encode)
    is_own = [mine(e) for e in examples]
    own, how = keep(compress(examples, is_own)), (encode, settings.batch_tokens, look.probe)
    if look.policy:
        own = keep(by_policy(learner, own, *how))
    if look.anchor or settings.guards.kl is not None:
        own = keep(by_anchor(learner, own, *how))
    if isinstance(own, Filed):
        return own
    seen = iter(own)
    everything = [next(seen) if o else e for e, o in zip(examples, is_own, strict=True)]
    found = list(compress(method.graded(everything, taken), is_own))
    objective = getattr(method, "objective", None)
    return _moving(objective, found, taken) if isinstance(objective, Objective) else found


def _moving(objective: Objective, examples: Sequence[Example], taken: int) -> list[Example]:
    """Return the examples, of which those teach no more that have nothing to teach by rewards.

    That is what has no reward, and all of them where they don't move a policy that still is its
    anchor.  A KL alone doesn't: there its gradient is rounding noise, which AdamW would scale up.
    """
    rollouts = [one for one in examples if isinstance(one, Rollout)]
    learnt = (r.advantage or r.gains or r.target is not None for r in rollouts)
    still = not (taken or objective.entropy > 0 or any(learnt))
    idle = {id(r) for r in rollouts if still or r.reward is None}
    return [replace(e, teaches=False) if id(e) in idle else e for e in examples]


def _remembered(
    learner: Learner, steps: Sequence[Sequence[Example]], encode: Encoder, tokens: int
) -> list[list[Example]]:
    """Return the steps, their examples with what the policy thinks of them now."""
    steps = [list(step) for step in steps]
    every = list({id(e): e for step in steps for e in step}.values())
    seen = by_policy(learner, every, encode, tokens)
    known = {id(old): new for old, new in zip(every, seen, strict=True)}
    return [[known[id(e)] for e in step] for step in steps]


def _descend(
    learner: Learner,
    method: Method[Any],
    examples: Sequence[Example],
    look: Look,
    encode: Encoder,
    settings: Fit,
) -> dict[str, float]:
    """Leave the gradient of the examples' mean loss in the parameters; return what was seen."""
    if look.drift:
        some = cast(Sequence[Rollout], examples)
        examples = drifted(learner, some, encode, settings.batch_tokens)
    examples = list(examples)
    every = microbatches(cast(Any, examples), encode, settings.batch_tokens, form=learner.form)
    batches = [
        (i, part, rows(columns(part), encode, look.probe), counts)
        for i, part, counts in world.dealt(list(every))
    ]
    sizes = {i: method.sizes(part, batch) for i, part, batch, counts in batches if counts}
    # Nothing counts where nobody said a token: there is no gradient then.
    total = sum(world.gathered({i: size.sum().item() for i, size in sizes.items()})) or 1.0
    parameters = list(learner.parameters().values())
    for parameter in parameters:
        parameter.grad = None
    shown: dict[int, dict[str, Tensor]] = {}
    for i, part, batch, counts in batches:
        there = moved(batch, learner.device)
        scores = learner.policy(there, entropy=look.entropy)
        losses, metrics = method.loss(scores, there, part)
        (losses.sum() / total * counts).backward()
        if counts:
            seen = of_rows(scores, there, examples, sampled=look.sampled)
            lengths = there.position[there.last] + 1
            own = {**seen, **metrics, "loss": losses.detach(), "tokens": lengths}
            shown[i] = {name: values.cpu() for name, values in own.items()}
        del scores, losses  # the next pass may be recorded, which wants none before it to be alive
    found = _joined(world.gathered(shown))
    refuse_losses(found["loss"], examples)
    world.add(parameters)
    norm = world.clip(parameters, settings.clip_norm)
    refuse_gradient(norm, examples)
    loss, tokens = (found.pop(name).sum().item() for name in ("loss", "tokens"))
    means = {name: values.nanmean().item() for name, values in found.items()}
    means = {name: value for name, value in means.items() if not math.isnan(value)}
    counts = {"completions": float(len(examples)), "tokens": float(tokens)}
    own = {"loss": loss / total, "grad_norm": norm, **counts}
    return {**own, **means, **variety(examples)}


def _joined(seen: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return what was seen of all parts' examples, by name."""
    found: dict[str, list[Tensor]] = {}
    for part in seen:
        for name, values in part.items():
            found.setdefault(name, []).append(values)
    return {name: torch.cat(values) for name, values in found.items()}
