"""A tree's forward gives the numbers, and the gradients, of each row alone in a plain model."""

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import BuildTiny
from peft import LoraConfig, get_peft_model
from torch import Tensor
from transformers import AutoModelForCausalLM

from moot.training.attention import KERNEL
from moot.training.forward import score
from moot.training.rows import rows
from moot.training.types import Said, Scores

# Windows of four tokens: less than the longest row has, and than what most rows share.
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen2": {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1},
    "qwen3": {},
    "gemma2": {"sliding_window": 4},  # caps its products and its logits too
    "gemma3_text": {
        "sliding_window": 4,
        "layer_types": ["sliding_attention", "full_attention"],
    },
    "mistral": {"sliding_window": 4},
    "granite": {"logits_scaling": 4.0, "attention_multiplier": 0.25},
    "cohere": {"logit_scale": 0.5},
}
PROBE = 17
ASKED = (90, 41, 7, 200, 13, 66, 41, 150, 28)


def said(prompt: tuple[int, ...], tokens: tuple[int, ...], temperature: float = 1.0) -> Said:
    return Said((), "", tokens=tokens, prompt_tokens=prompt, temperature=temperature)


# Every completion but the last three continues, or is continued by, another row's beginning.
FIRST = (*ASKED, 4, 5, 7, 8, 11, 12)  # goes on where the second row ends
SECOND = (*FIRST, 9, 9, 4, 4, 30)  # and this one where the fifth does
BATCH = [
    said(ASKED, (4, 5, 6)),
    said(ASKED, (4, 5, 7, 8)),
    said(ASKED, (4,)),
    said(FIRST, (9, 9, 9), 0.7),
    said(FIRST, (9, 9, 4, 4)),
    said(SECOND, (1, 2, 3, 4)),
    said(SECOND, (1, 2, 3, 5), 1.3),
    said((7,), (3, 2)),
    said((7,), (3, 2)),
    said((7, 3), (2, 5), 0.5),
    said((7, 3), (2, 5)),
    said((100, 101), (3,), 0.0),  # greedy: learns at 1
]


@pytest.fixture(scope="module", params=ARCHITECTURES)
def folder(
    request: pytest.FixtureRequest, build_tiny: BuildTiny, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the folder of a tiny model of each architecture; not to be written to."""
    made = tmp_path_factory.mktemp(request.param)
    return build_tiny(made, architecture=request.param, **ARCHITECTURES[request.param])


def loaded(folder: Path, attention: str, dtype: torch.dtype = torch.float32, **other: Any) -> Any:
    return AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, attn_implementation=attention, **other
    )


def adapted(model: Any, adapter: bool) -> Any:
    """Return the model that is asked, with a random adapter in it that alone learns, or none."""
    if not adapter:
        return model
    with torch.random.fork_rng():
        torch.manual_seed(1)
        config = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
        return get_peft_model(model, config).get_base_model()


def alone(model: Any, one: Said) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the definition of a row's numbers: no batch, no padding, no tree."""
    ids = torch.tensor([[*one.prompt_tokens, *one.tokens]])
    logits = model(ids, use_cache=False).logits[0].float()
    start = len(one.prompt_tokens)
    logp = (logits[start - 1 : -1] / (one.temperature or 1.0)).log_softmax(-1)
    return (
        logp.gather(-1, ids[0, start:, None])[:, 0],
        -(logp.exp() * logp).sum(-1),
        -logp.mean(-1) - torch.tensor(float(logp.shape[-1])).log(),
        logits[-1].log_softmax(-1)[PROBE],
    )


def summed(of_rows: list[tuple[Tensor, ...]], bonus: bool) -> Tensor:
    """Return a sum in which each row's log-probabilities, entropies and probe weigh otherwise."""
    total = torch.zeros(())
    for n, (logp, entropy, _, probe) in enumerate(of_rows):
        total = total + (n - 4.5) * logp.sum() + (2 - n) * probe
        total = total + 0.3 * n * entropy.sum() if bonus else total
    return total


def split(found: Scores, mask: Tensor) -> list[tuple[Tensor, ...]]:
    """Return the numbers of each row, without padding."""
    assert found.probe is not None
    return [
        (*(values[n][seen] for values in found[:3]), found.probe[n]) for n, seen in enumerate(mask)
    ]


def gradients(model: Any, of: Tensor) -> dict[str, Tensor]:
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    return dict(zip(named, torch.autograd.grad(of, list(named.values())), strict=True))


def same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Check gradients to a hundred-thousandth of the greatest."""
    most = max(float(g.abs().max()) for g in expected.values())
    assert most > 0.1
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        apart = float((found[name] - gradient).abs().max())
        print("APART", name, apart, most, apart / most)
        assert apart < min(1e-4 * max(most, 1), 1e-5 * most), name


def test_the_batch_is_a_deep_tree() -> None:
    batch = rows(BATCH, probe=PROBE)
    above = [sum(node.start <= k < node.last for node in batch.nodes) for k in batch.last.tolist()]

    # 9 asked; 4; 5; 7 8 11 12; 9 9; 4 4 30 1 2 3; 4 or 5: seven nodes lie on the longest paths
    assert max(above) == 7
    # ASKED 9, its first two rows 4 5 6 and 7 8: 5, FIRST 11 12: 2, then 9 9 9 and 4 4: 5,
    # SECOND's 30 and 1 2 3 4 and 5: 6; then 7 3 2 5: 4, and 100 101 3: 3
    assert len(batch.tokens) == 9 + 5 + 2 + 5 + 6 + 4 + 3
    assert sum(len(one.prompt_tokens) + len(one.tokens) for one in BATCH) == 150


@pytest.mark.parametrize("adapter", [False, True])
def test_a_row_s_numbers_are_those_of_it_alone(folder: Path, adapter: bool) -> None:
    batch = rows(BATCH, probe=PROBE)
    with torch.no_grad():
        found = score(adapted(loaded(folder, KERNEL), adapter), batch)
        plain = adapted(loaded(folder, "eager"), adapter)
        expected = [alone(plain, one) for one in BATCH]

    for row, other in zip(split(found, batch.mask), expected, strict=True):
        for one, definition in zip(row, other, strict=True):
            print("VALUE", float((one - definition).abs().max()))
            torch.testing.assert_close(one, definition, atol=1e-5, rtol=0)
    for values in found[:3]:
        assert values[~batch.mask].eq(0).all()


@pytest.mark.parametrize("bonus", [False, True])
@pytest.mark.parametrize("adapter", [False, True])
def test_gradients_are_those_of_each_row_alone(folder: Path, adapter: bool, bonus: bool) -> None:
    batch = rows(BATCH, probe=PROBE)
    model = adapted(loaded(folder, KERNEL), adapter)
    plain = adapted(loaded(folder, "eager"), adapter)

    found = score(model, batch, bonus=bonus)

    assert found.entropy.requires_grad == bonus
    same(
        gradients(model, summed(split(found, batch.mask), bonus)),
        gradients(plain, summed([alone(plain, one) for one in BATCH], bonus)),
    )
