"""What models think of examples before training: computed once, and remembered with the words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import torch

from .learner import Learner
from .losses.policy import mean
from .rows import columns, moved, parts, rows
from .types import Encoder, Example, Known, Pair, Rollout, Said, Scores

Remember = Callable[[Known, Scores, int, int], Known]
"""From what is known of a row, the scores, its place and its length, to what is known now."""


def by_policy(
    learner: Learner,
    examples: Sequence[Example],
    encode: Encoder,
    tokens: int,
    probe: int | None = None,
) -> list[Example]:
    """Return the examples, each with what the policy as it is thinks of its rows.

    Args:
        learner: holds the policy.
        examples: of one kind.
        encode: turns them into tokens.
        tokens: the most in one forward pass.
        probe: a token whose log-probability after each row is wanted.
    """

    def remember(known: Known, scores: Scores, row: int, length: int) -> Known:
        return replace(
            known,
            logp=tuple(scores.logp[row, :length].tolist()),
            entropy=scores.entropy[row, 0].item(),
            certainty=scores.certainty[row, 0].item(),
            probe=None if scores.probe is None else scores.probe[row].item(),
            value=() if scores.value is None else tuple(scores.value[row, :length].tolist()),
        )

    return _looked(learner, examples, encode, tokens, probe, remember)


def by_anchor(
    learner: Learner,
    examples: Sequence[Example],
    encode: Encoder,
    tokens: int,
    probe: int | None = None,
) -> list[Example]:
    """Return the examples, each with what the anchor thinks of its rows."""

    def remember(known: Known, scores: Scores, row: int, length: int) -> Known:
        return replace(
            known,
            anchor=tuple(scores.logp[row, :length].tolist()),
            anchor_probe=None if scores.probe is None else scores.probe[row].item(),
        )

    with learner.anchored():
        return _looked(learner, examples, encode, tokens, probe, remember)


def _looked(
    learner: Learner,
    examples: Sequence[Example],
    encode: Encoder,
    tokens: int,
    probe: int | None,
    remember: Remember,
) -> list[Example]:
    found: list[Example] = []
    for part in parts(cast(Any, examples), encode, tokens):
        batch = rows(words := columns(part), encode, probe)
        with torch.no_grad():
            there = moved(batch, learner.device)
            scores = learner.policy(there)
            scores = scores._replace(
                logp=scores.logp.cpu(),
                entropy=mean(scores.entropy, there.mask)[:, None],
                certainty=mean(scores.certainty, there.mask)[:, None],
            )
        lengths = batch.mask.sum(-1).tolist()
        new = [
            replace(word, known=remember(word.known, scores, i, length))
            for i, (word, length) in enumerate(zip(words, lengths, strict=True))
        ]
        found += _with(part, new)
    return found


def _with(examples: Sequence[Example], words: Sequence[Said]) -> list[Example]:
    """Return the examples with `words`, in the order of `columns`, in place of theirs."""
    found: list[Example] = []
    for i, example in enumerate(examples):
        if isinstance(example, Pair):
            rejected = words[len(examples) + i]
            found.append(replace(example, chosen=words[i], rejected=rejected))
        elif isinstance(example, Rollout) and example.beside is not None:
            beside = words[len(examples) + i]
            found.append(replace(example, said=words[i], beside=beside))
        else:
            found.append(replace(example, said=words[i]))
    return found
