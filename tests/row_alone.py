"""What a tree's forward is held against: each row alone in a plain model, on many architectures."""

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import BuildTiny
from peft import LoraConfig, get_peft_model
from torch import Tensor
from transformers import AutoModelForCausalLM

from moot.training.data.examples import Said
from moot.training.model.lora import fresh
from moot.training.model.stretches import SHORTEST
from moot.training.model.types import Scores
from moot.training.settings import Lora

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
    "gpt_oss": {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 4},  # has sinks
}
LINEAR = {
    "linear_num_value_heads": 2,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}
# Their layers keep states of what they have read, and some attend too.
RECURRENT: dict[str, dict[str, Any]] = {
    "qwen3_5_text": {**LINEAR, "layer_types": ["linear_attention", "full_attention"]},
    "mamba2": {"num_heads": 4, "head_dim": 16, "n_groups": 1, "state_size": 8},
    "falcon_h1": {
        "mamba_n_heads": 4,
        "mamba_d_head": 16,
        "mamba_d_ssm": 64,
        "mamba_d_state": 8,
    },
    "lfm2": {"layer_types": ["conv", "full_attention"]},
}
# Rows go through these side by side, each for another reason.
BESIDE: dict[str, dict[str, Any]] = {
    "mamba": {},  # goes on from a state by single tokens alone
    "stablelm": {},  # its layers aren't told who sees whom
    "nemotron": {},  # takes no other attention
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


DRAW = torch.Generator().manual_seed(3)


def some(count: int) -> tuple[int, ...]:
    return tuple(torch.randint(5, 250, (count,), generator=DRAW).tolist())


ONCE, TWICE, FEW = some(SHORTEST + 6), some(SHORTEST), some(3)
TALK = [
    said(ONCE, some(5)),
    said(ONCE, some(9), 0.7),
    said((*ONCE, *TWICE), some(4)),
    said((*ONCE, *TWICE), some(1)),
    said((*ONCE, *TWICE, *FEW), some(6)),
    said((*ONCE, *TWICE, *FEW), some(2)),
    said((*ONCE, *FEW), some(SHORTEST + 2)),
    said((*ONCE, *FEW), some(1)),
    said(some(30), some(3)),
    said(some(3), some(1)),
]
"""States are handed on after ONCE, and after TWICE again, and never after FEW."""


def loaded(folder: Path, attention: str, dtype: torch.dtype = torch.float32, **other: Any) -> Any:
    return AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, attn_implementation=attention, **other
    )


def folders(kinds: dict[str, dict[str, Any]]) -> Any:
    """Return a fixture: the folder of a tiny model of each kind; not to be written to."""

    @pytest.fixture(scope="module", params=kinds)
    def folder(
        request: pytest.FixtureRequest,
        build_tiny: BuildTiny,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> Path:
        made = tmp_path_factory.mktemp(request.param)
        return build_tiny(made, architecture=request.param, **kinds[request.param])

    return folder


def taught(model: Any, folder: Path) -> Any:
    """Put an adapter into the model as a learner has it, whose output isn't zero any more."""
    fresh(model, Lora(rank=4), seed=1, model=folder)
    draw = torch.Generator().manual_seed(2)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2, generator=draw)
    return model


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
        assert apart < min(1e-4 * max(most, 1), 1e-5 * most), name
