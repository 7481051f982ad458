"""The one training loop."""

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, cast

import torch
from torch import Tensor, nn

from moot.agents.errors import MootError

from .checkpoint import Progress, latest, save
from .learner import Learner
from .look import by_anchor, by_policy
from .losses.policy import kl, mean
from .rows import columns, moved, parts, rows
from .settings import Fit
from .types import Encoder, Example, Look, Method, Pair, Rows, Scores

Metrics = dict[str, float]


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
) -> Iterator[tuple[int, Metrics]]:
    """Train the learner in place, yielding each step's number and metrics.

    The same arguments give the same weights, to the last bit on the CPU, whether the training was
    interrupted or not: a checkpoint in `folder` holds weights, optimiser and step, and is where a
    second call goes on.  Steps that were taken by then are not yielded again.

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
        MootError: a number isn't finite, or a guard says stop; the last good weights are kept.
    """
    look = method.looks(encode)
    steps = schedule(examples, settings, seed)
    if look.old and not look.policy:
        # In the first step the policy still is what it was before training.
        steps[1:] = _remembered(learner, steps[1:], encode, settings.batch_tokens)
    parameters = learner.parameters()
    rollback = settings.guards.then == "rollback"
    initial = {n: t.clone() for n, t in learner.tensors().items()} if rollback else {}
    optimizer = torch.optim.AdamW(
        parameters.values(), lr=settings.lr, weight_decay=settings.weight_decay, fused=True
    )
    resumed = latest(folder)
    if resumed is not None:
        learner.set(resumed.weights)
    (resumed or start).restore(optimizer, parameters)
    done = resumed.step if resumed else 0
    for step in range(done, len(steps)):
        for group in optimizer.param_groups:
            group["lr"] = settings.lr * _warm(start.taken + step, settings.warmup_steps)
        metrics = _descend(learner, method, steps[step], look, encode, settings)
        if broken := settings.guards.broken(metrics):
            yield step, {**metrics, "guarded": 1.0}
            _guarded(broken, settings, learner, initial)
            break
        optimizer.step()
        yield step, metrics
        done = step + 1
        if done % settings.checkpoint_every == 0 and done < len(steps):
            save(folder, learner, optimizer, step=done, taken=start.taken + done)
    save(folder, learner, optimizer, step=done, taken=start.taken + done)


def graded(
    learner: Learner,
    method: Method[Any],
    examples: Sequence[Example],
    encode: Encoder,
    settings: Fit,
    mine: Callable[[Example], bool],
    taken: int = 0,
) -> list[Example]:
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
    """
    look = method.looks(encode)
    own, tokens = [e for e in examples if mine(e)], settings.batch_tokens
    if look.policy or look.probe is not None:
        own = by_policy(learner, own, encode, tokens, look.probe)
    if look.anchor or settings.guards.kl is not None:
        own = by_anchor(learner, own, encode, tokens, look.probe)
    seen = iter(own)
    everything = [next(seen) if mine(e) else e for e in examples]
    return [e for e in method.graded(everything, taken) if mine(e)]


def schedule(examples: Sequence[Example], settings: Fit, seed: int) -> list[list[Example]]:
    """Return the examples of each step: whole episodes, in a seeded order, `epochs` times over.

    Those that teach nothing are left out, and with them goes the work.
    """
    groups: dict[str, list[Example]] = {}
    for example in examples:
        if example.teaches:
            groups.setdefault(example.episode, []).append(example)
    order = random.Random(seed)
    steps: list[list[Example]] = []
    for _ in range(settings.epochs):
        names = sorted(groups)
        order.shuffle(names)
        chunks = [names[i : i + settings.groups] for i in range(0, len(names), settings.groups)]
        steps += [[example for name in chunk for example in groups[name]] for chunk in chunks]
    return steps


def _remembered(
    learner: Learner, steps: list[list[Example]], encode: Encoder, tokens: int
) -> list[list[Example]]:
    """Return the steps, their examples with what the policy thinks of them now."""
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
) -> Metrics:
    """Leave the gradient of the examples' mean loss in the parameters; return what was seen."""
    batches = [
        (part, rows(columns(part), encode, look.probe))
        for part in parts(cast(Any, examples), encode, settings.batch_tokens)
    ]
    sizes = [method.sizes(part, batch) for part, batch in batches]
    total = sum(size.sum().item() for size in sizes)
    seen: dict[str, list[Tensor]] = {}
    parameters = list(learner.parameters().values())
    for parameter in parameters:
        parameter.grad = None
    for part, batch in batches:
        there = moved(batch, learner.device)
        scores = learner.policy(there, entropy=look.entropy)
        losses, metrics = method.loss(scores, there, part)
        _refuse_nonsense(losses, part)
        (losses.sum() / total).backward()
        for name, values in {**_seen(scores, there), **metrics, "loss": losses.detach()}.items():
            seen.setdefault(name, []).append(values.cpu())
    found = {name: torch.cat(values) for name, values in seen.items()}
    norm = nn.utils.clip_grad_norm_(parameters, settings.clip_norm).item()
    if not math.isfinite(norm):
        raise MootError(f"{_nonsense('the gradient', norm)} in {_named(examples)}; {KEPT}")
    loss = found.pop("loss").sum().item() / total
    means = {name: values.nanmean().item() for name, values in found.items()}
    means = {name: value for name, value in means.items() if not math.isnan(value)}
    own = {"loss": loss, "grad_norm": norm, "completions": float(len(examples))}
    return {**own, **means, "distinct": _distinct(examples)}


KEPT = "the weights of before this step are kept; a lower fit.lr may help"


def _seen(scores: Scores, batch: Rows) -> dict[str, Tensor]:
    """Return (N,) what can be said of the rows, whatever the method."""
    with torch.no_grad():
        found = {
            "entropy": mean(scores.entropy, batch.mask),
            "length": batch.mask.sum(-1).float(),
        }
        if batch.anchor is not None:
            found["kl"] = mean(kl(scores.logp, batch.anchor), batch.mask)
    return found


def _distinct(examples: Sequence[Example]) -> float:
    """Return the mean, over episodes, of how many of the texts differ: 1 if no two are alike."""
    texts: dict[str, list[str]] = {}
    for example in examples:
        texts.setdefault(example.episode, []).extend(one.text for one in example.rows)
    return fmean(len(set(some)) / len(some) for some in texts.values())


def _refuse_nonsense(losses: Tensor, examples: Sequence[Example]) -> None:
    finite = losses.detach().isfinite().tolist()
    if not all(finite):
        bad = [e for e, good in zip(examples, finite, strict=True) if not good]
        value = losses.detach()[finite.index(False)].item()
        raise MootError(f"{_nonsense('a loss', value)} of {_named(bad)}; {KEPT}")


def _nonsense(what: str, value: float) -> str:
    return f"training: {what} that isn't finite ({value})"


def _named(examples: Sequence[Example]) -> str:
    """Return which examples these are, for an error."""
    some = [f"{e.episode} turn {_turn(e)}" for e in examples[:3]]
    return ", ".join(some) + (f" and {len(examples) - 3} more" if len(examples) > 3 else "")


def _turn(example: Example) -> str:
    return "/".join(map(str, example.turns)) if isinstance(example, Pair) else str(example.turn)


def _guarded(broken: str, settings: Fit, learner: Learner, initial: Mapping[str, Tensor]) -> None:
    """Do what the guards are to do when one was broken."""
    if settings.guards.then == "fail":
        raise MootError(f"training: {broken}; the weights of before this step are kept")
    if settings.guards.then == "rollback":
        learner.set(initial)


def _warm(step: int, warmup: int) -> float:
    return min(1.0, (step + 1) / (warmup + 1))
