"""The shared-prefix forward gives the numbers, and the gradients, of the plain padded one."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from moot.training.forward import score
from moot.training.rows import pad
from moot.training.types import Rows

PROMPTS = [[5, 6, 7, 8, 9, 10], [11, 12], [7]]
OWNER = [0, 0, 1, 2, 2, 2]
COMPLETIONS = [[4, 5, 6], [4], [9, 9, 9, 9], [3, 2], [8, 7, 6, 5, 4], [2]]


def model_at(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def ragged(temperature: float = 1.0) -> Rows:
    prompts, prompt_mask = pad(PROMPTS, left=True)
    tokens, mask = pad(COMPLETIONS, left=False)
    heat = torch.full((len(OWNER),), temperature)
    return Rows(prompts, prompt_mask, torch.tensor(OWNER), tokens, mask, heat)


def plain(model: Any, temperature: float) -> list[Tensor]:
    """Each row by itself, unpadded: the definition."""
    found: list[Tensor] = []
    for owner, completion in zip(OWNER, COMPLETIONS, strict=True):
        ids = torch.tensor([PROMPTS[owner] + completion])
        logp = (model(ids).logits[0] / temperature).log_softmax(-1)
        start = len(PROMPTS[owner])
        found.append(logp[torch.arange(start - 1, ids.shape[1] - 1), ids[0, start:]])
    return found


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_log_probs_are_those_of_each_row_alone(tiny: Path, temperature: float) -> None:
    model, rows = model_at(tiny), ragged(temperature)

    found = score(model, rows)

    for i, expected in enumerate(plain(model, temperature)):
        torch.testing.assert_close(found.logp[i][rows.mask[i]], expected, atol=1e-5, rtol=1e-5)
    assert found.logp[~rows.mask].eq(0).all()
    assert not found.entropy.requires_grad


def test_gradients_are_those_of_each_row_alone(tiny: Path) -> None:
    model = model_at(tiny)
    weight = torch.linspace(-1, 1, len(OWNER))

    (score(model, ragged()).logp.sum(-1) * weight).sum().backward()
    shared = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    torch.stack(
        [w * row.sum() for w, row in zip(weight, plain(model, 1.0), strict=True)]
    ).sum().backward()

    for name, parameter in model.named_parameters():
        torch.testing.assert_close(shared[name], parameter.grad, atol=1e-5, rtol=1e-4)


def test_entropy_of_a_flat_distribution_is_the_log_of_the_vocabulary(tiny: Path) -> None:
    model, rows = model_at(tiny), ragged()
    torch.nn.init.zeros_(model.get_output_embeddings().weight)

    entropy = score(model, rows).entropy[rows.mask]

    expected = torch.tensor(float(model.config.vocab_size)).log().expand_as(entropy)
    torch.testing.assert_close(entropy, expected)
