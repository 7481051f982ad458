"""From prompts and completions to the tensors of a batch, each shared prompt once."""

from collections.abc import Sequence

import torch

from .types import Encoder, Rollout, Rows


def rows(examples: Sequence[Rollout], encode: Encoder) -> Rows:
    """Return N completions as tensors; those with equal prompts share one row of `prompts`."""
    prompts = [prompt(example, encode) for example in examples]
    unique = {ids: u for u, ids in enumerate(dict.fromkeys(prompts))}
    left, left_mask = pad(list(unique), left=True)
    right, right_mask = pad([completion(e, encode) for e in examples], left=False)
    return Rows(
        prompts=left,
        prompt_mask=left_mask,
        owner=torch.tensor([unique[ids] for ids in prompts]),
        tokens=right,
        mask=right_mask,
        # Greedy answers have no tempered distribution; they are learnt from at temperature 1.
        temperature=torch.tensor([e.temperature or 1.0 for e in examples]),
    )


def prompt(example: Rollout, encode: Encoder) -> tuple[int, ...]:
    """Return the ids of what was asked: as the engine read them, where that is known."""
    return example.prompt_tokens or tuple(encode.prompt(example.prompt))


def completion(example: Rollout, encode: Encoder) -> tuple[int, ...]:
    """Return the ids of what was said: as they were sampled, where that is known."""
    return example.tokens or tuple(encode.completion(example.text, ended=example.finish == "stop"))


def parts(examples: Sequence[Rollout], encode: Encoder, tokens: int) -> list[list[Rollout]]:
    """Return the examples, in their order, in parts of at most `tokens` each when they are padded.

    An example that is longer by itself is a part of its own.
    """
    found: list[list[Rollout]] = []
    prompts: set[tuple[int, ...]] = set()
    widest = 0
    for example in examples:
        own, length = prompt(example, encode), len(completion(example, encode))
        prompts.add(own)
        widest = max(widest, length)
        padded = len(prompts) * max(map(len, prompts))
        if found and padded + (len(found[-1]) + 1) * widest <= tokens:
            found[-1].append(example)
        else:
            found.append([example])
            prompts, widest = {own}, length
    return found


def pad(lists: Sequence[Sequence[int]], *, left: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (N, T) ids, padded with 0 on one side, and the (N, T) bool mask of real ones."""
    width = max((len(ids) for ids in lists), default=0)
    tokens = torch.zeros(len(lists), width, dtype=torch.long)
    mask = torch.zeros(len(lists), width, dtype=torch.bool)
    for i, ids in enumerate(lists):
        at = slice(width - len(ids), width) if left else slice(0, len(ids))
        tokens[i, at] = torch.tensor(ids, dtype=torch.long)
        mask[i, at] = True
    return tokens, mask
