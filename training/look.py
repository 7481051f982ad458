"""What models think of examples before training: computed once, and remembered with the words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from math import fsum
from typing import Any, cast

import torch

from . import world
from .data.examples import Example, Known, Rollout, Said
from .losses.policy import mean
from .losses.preference import kto_baseline
from .model.learner import Learner
from .model.rows import columns, microbatches, moved, rows
from .model.types import Encoder, Scores

Remember = Callable[[Known, Scores, int, int], Known]
"""From what is known of a row, the scores, its place and its length, to what is known now."""


def by_policy(
    learner: Learner,
    examples: Iterable[Example],
    encode: Encoder,
    tokens: int,
    probe: int | None = None,
) -> Iterator[Example]:
    """Yield the examples as they come, each with what the policy as it is thinks of its rows.

    Args:
        learner: holds the policy.
        examples: of one kind.
        encode: turns them into tokens.
        tokens: the most in one forward pass.
        probe: a token whose log-probability after each row is wanted.
    """
    return _looked(learner, examples, encode, tokens, probe, _policy)


def by_anchor(
    learner: Learner,
    examples: Iterable[Example],
    encode: Encoder,
    tokens: int,
    probe: int | None = None,
) -> Iterator[Example]:
    """Yield the examples as they come, each with what the anchor thinks of its rows."""
    with learner.anchored():
        yield from _looked(learner, examples, encode, tokens, probe, _anchor)


def drifted(
    learner: Learner, examples: Sequence[Rollout], encode: Encoder, tokens: int
) -> list[Rollout]:
    """Return a step's rollouts with the policy's drift, and without the words that tell of it.

    These were looked at by the anchor; the policy, as it is now, looks at them without a gradient.
    """
    beside = [replace(one, said=one.beside, beside=None) for one in examples if one.beside]
    seen = [one.rows[0].known for one in by_policy(learner, beside, encode, tokens)]
    ratios = torch.tensor([fsum(known.logp) - fsum(known.anchor) for known in seen])
    drift = kto_baseline(ratios).item()
    return [replace(one, beside=None, drift=drift) for one in examples]


def _policy(known: Known, scores: Scores, row: int, length: int) -> Known:
    """Return what is known of a row when the policy has looked at it."""
    return replace(
        known,
        logp=tuple(scores.logp[row, :length].tolist()),
        entropy=scores.entropy[row, 0].item(),
        certainty=scores.certainty[row, 0].item(),
        probe=None if scores.probe is None else scores.probe[row].item(),
        value=() if scores.value is None else tuple(scores.value[row, :length].tolist()),
    )


def _anchor(known: Known, scores: Scores, row: int, length: int) -> Known:
    """Return what is known of a row when the anchor has looked at it."""
    return replace(
        known,
        anchor=tuple(scores.logp[row, :length].tolist()),
        anchor_probe=None if scores.probe is None else scores.probe[row].item(),
    )


def _looked(
    learner: Learner,
    examples: Iterable[Example],
    encode: Encoder,
    tokens: int,
    probe: int | None,
    remember: Remember,
) -> Iterator[Example]:
    """Yield the examples as they come, each with what the learner as it is thinks of its rows.

    Every process looks at a part of its own, and all get to know what was seen.
    """
    every = microbatches(cast(Any, examples), encode, tokens, form=learner.form)
    while some := list(islice(every, world.size())):
        found: dict[int, list[Known]] = {}
        for i, part, counts in world.dealt(some):
            known = _known(learner, columns(part), encode, probe, remember)
            found |= {i: known} if counts else {}
        for part, known in zip(some, world.gathered(found), strict=True):
            words = zip(columns(part), known, strict=True)
            yield from _with(part, [replace(one, known=new) for one, new in words])


def _known(
    learner: Learner, words: Sequence[Said], encode: Encoder, probe: int | None, remember: Remember
) -> list[Known]:
    """Return what is known of each row now."""
    batch = rows(words, encode, probe)
    with torch.no_grad():
        there = moved(batch, learner.device)
        scores = learner.policy(there)
        scores = scores._replace(
            logp=scores.logp.cpu(),
            entropy=mean(scores.entropy, there.mask)[:, None],
            certainty=mean(scores.certainty, there.mask)[:, None],
        )
    lengths = batch.mask.sum(-1).tolist()
    return [remember(one.known, scores, i, lengths[i]) for i, one in enumerate(words)]


def _with(examples: Sequence[Example], words: Sequence[Said]) -> list[Example]:
    """Return the examples with `words`, in the order of `columns`, in place of theirs."""
    n = len(examples)
    return [example.with_rows(words[i::n]) for i, example in enumerate(examples)]
