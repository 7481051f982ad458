"""From prompts and completions to the tensors of a batch: the prefix tree of its rows."""

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from itertools import chain

import numpy as np
import torch

from moot.agents.errors import MootError

from ..data.examples import E, Example, Said
from .stretches import cost
from .tree import tree
from .types import Encoder, Form, Rows

Place = tuple[int, int]
"""A token's place in a row, and what the row is up to there."""


def rows(said: Sequence[Said], encode: Encoder | None = None, probe: int | None = None) -> Rows:
    """Return N completions, each after its prompt, as tensors on the CPU.

    Args:
        said: N of them.
        encode: for those whose token ids are not known; `None`: all are.
        probe: a token whose log-probability after each row's last one is wanted.
    """
    prompts = [prompt(one, encode) for one in said]
    replies = [completion(one, encode) for one in said]
    packed = tree([(*p, *r) for p, r in zip(prompts, replies, strict=True)])
    places = [path[len(p) :] for p, path in zip(prompts, packed.paths, strict=True)]
    before = [path[len(p) - 1 : -1] for p, path in zip(prompts, packed.paths, strict=True)]
    lengths = torch.tensor([len(place) for place in places])
    # A token that several rows say after the same words, at the same heat, is looked at once.
    heats, hot = np.unique([_heat(one) for one in said], return_inverse=True)
    wanted = np.repeat(hot, lengths) * len(packed.tokens) + np.concatenate(places)
    unique, first, inverse = np.unique(wanted, return_index=True, return_inverse=True)
    heat, at = np.divmod(unique, len(packed.tokens))
    mask = torch.arange(int(lengths.max()))[None] < lengths[:, None]
    return Rows(
        tokens=torch.from_numpy(packed.tokens),
        position=torch.from_numpy(packed.position),
        nodes=packed.nodes,
        before=torch.from_numpy(np.concatenate(before)[first]),
        chosen=torch.from_numpy(packed.tokens[at]),
        temperature=torch.from_numpy(heats[heat]).float(),
        place=torch.from_numpy(inverse),
        mask=mask,
        last=torch.tensor([path[-1] for path in packed.paths]),
        old=_padded([one.known.logp for one in said], mask),
        anchor=_padded([one.known.anchor for one in said], mask),
        spoken=_spoken(said, mask),
        probe=probe,
    )


def columns(examples: Sequence[Example]) -> list[Said]:
    """Return the rows of the examples: the first of each, then the second of each, if any."""
    return [one for column in zip(*(e.rows for e in examples), strict=True) for one in column]


def prompt(one: Said, encode: Encoder | None) -> tuple[int, ...]:
    """Return the ids of what was asked: as the engine read them, where that is known."""
    found = one.prompt_tokens or (tuple(encode.prompt(one.prompt)) if encode else ())
    if not found:
        raise MootError(f"a prompt without a token precedes the reply {one.text[:40]!r}")
    return found


def completion(one: Said, encode: Encoder | None) -> tuple[int, ...]:
    """Return the ids of what was said: as they were sampled, where that is known."""
    if one.tokens or encode is None:
        return one.tokens
    return tuple(encode.completion(one.text, ended=one.finish == "stop"))


def moved(batch: Rows, device: torch.device) -> Rows:
    """Return the rows on `device`."""
    tensors = {f.name: getattr(batch, f.name) for f in fields(batch)}
    there = {name: t.to(device) for name, t in tensors.items() if isinstance(t, torch.Tensor)}
    return replace(batch, **there)


def microbatches(
    examples: Sequence[E], encode: Encoder | None, tokens: int, *, form: Form = "tree"
) -> Iterator[Sequence[E]]:
    """Yield the examples, in order, in microbatches that have at most `tokens` each.

    An example that is longer by itself is one of its own.

    Args:
        examples: to be divided.
        encode: for words whose token ids are not known; `None`: all are.
        tokens: the most.
        form: how they go through the model: those of the prefix tree are counted, or those that
            layers with states read of it, or those of rows side by side, with their padding.
    """
    found: list[E] = []
    ids: list[tuple[int, ...]] = []
    seen = set[Place]()
    for example in examples:
        own = [(*prompt(one, encode), *completion(one, encode)) for one in example.rows]
        places = {*chain.from_iterable(map(_places, own))} if form == "tree" else set[Place]()
        size = len(seen | places) if form == "tree" else _size([*ids, *own], form)
        if found and size > tokens:
            yield found
            found, ids, seen = [], [], set()
        found.append(example)
        ids += own
        seen |= places
    if found:
        yield found


def _size(ids: Sequence[Sequence[int]], form: Form) -> int:
    """Return how many tokens are read of rows in this form."""
    return len(ids) * max(map(len, ids)) if form == "rows" else cost(tree(ids).nodes)


def _places(ids: Sequence[int]) -> Iterator[Place]:
    """Yield a name for each of a row's tokens that other rows' have too if they begin alike."""
    so_far = 0
    for length, token in enumerate(ids):
        so_far = hash((so_far, token))
        yield length, so_far


def _heat(one: Said) -> float:
    """Return the temperature to learn at; greedy answers have no tempered distribution."""
    return one.temperature or 1.0


def _spoken(said: Sequence[Said], mask: torch.Tensor) -> torch.Tensor | None:
    """Return (N, T) what the engines said, NaN where one didn't; `None` where none did."""
    if not any(one.logprobs for one in said):
        return None
    lengths = mask.sum(-1).tolist()
    each = zip((one.logprobs for one in said), lengths, strict=True)
    return _padded([own if len(own) == n else [torch.nan] * n for own, n in each], mask)


def _padded(values: Sequence[Sequence[float]], mask: torch.Tensor) -> torch.Tensor | None:
    """Return (N, T) values, 0 under padding; `None` where a row's are not known."""
    if [len(row) for row in values] != mask.sum(-1).tolist():
        return None
    flat = torch.tensor([value for row in values for value in row])
    return torch.zeros(mask.shape).masked_scatter(mask, flat)
