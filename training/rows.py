"""From prompts and completions to the tensors of a batch, each shared prompt once."""

from collections.abc import Sequence

import torch

from .types import Encoder, Rollout, Rows


def rows(examples: Sequence[Rollout], encode: Encoder) -> Rows:
    """Return N completions as tensors; those with equal prompts share one row of `prompts`."""
    unique = {prompt: u for u, prompt in enumerate(dict.fromkeys(e.prompt for e in examples))}
    prompts = [encode.prompt(prompt) for prompt in unique]
    completions = [
        list(e.tokens) or encode.completion(e.text, ended=e.finish == "stop") for e in examples
    ]
    left, left_mask = pad(prompts, left=True)
    right, right_mask = pad(completions, left=False)
    return Rows(
        prompts=left,
        prompt_mask=left_mask,
        owner=torch.tensor([unique[e.prompt] for e in examples]),
        tokens=right,
        mask=right_mask,
        # Greedy answers have no tempered distribution; they are learnt from at temperature 1.
        temperature=torch.tensor([e.temperature or 1.0 for e in examples]),
    )


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
