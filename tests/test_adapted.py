"""Fused LoRA layers: the numbers and gradients of PEFT's, which computes in three ways more."""

from pathlib import Path
from typing import Any

import pytest
import row_alone
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn

from moot.training.model.adapted import fuse
from moot.training.model.attention import KERNEL
from moot.training.model.forward import score
from moot.training.model.rows import rows


def adapted(folder: Path) -> Any:
    """Return PEFT's model, its adapters random and in float32 whatever the base is."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        config = LoraConfig(
            task_type="CAUSAL_LM",
            r=4,
            lora_alpha=12,
            target_modules="all-linear",
            init_lora_weights=False,
        )
        found: Any = get_peft_model(row_alone.loaded(folder, KERNEL), config)
        for name, parameter in found.named_parameters():
            if name.endswith("bias"):  # as it comes it is 0
                torch.nn.init.normal_(parameter)
        return found


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])  # without and with biases
def test_numbers_and_gradients_are_peft_s(
    architecture: str, build_tiny: Any, tmp_path: Path
) -> None:
    folder = build_tiny(tmp_path, architecture=architecture)
    plain, fused = (adapted(folder) for _ in range(2))
    fuse(fused)
    assert sum("forward" in vars(module) for module in fused.modules()) == 2 * 7
    batch = rows(row_alone.BATCH)

    scores = [score(model.get_base_model(), batch) for model in (plain, fused)]
    for one in scores:
        one.logp.square().sum().backward()

    torch.testing.assert_close(scores[1].logp, scores[0].logp, atol=1e-5, rtol=0)
    wanted = {n: p.grad for n, p in plain.named_parameters() if p.requires_grad}
    found = {n: p.grad for n, p in fused.named_parameters() if p.requires_grad}
    row_alone.same(found, wanted)


def test_without_its_adapter_a_layer_is_the_base_and_unloaded_it_is_none(tiny: Path) -> None:
    model, batch = adapted(tiny), rows(row_alone.BATCH)
    fuse(model)
    with torch.no_grad():
        base = score(row_alone.loaded(tiny, KERNEL), batch).logp
        own = score(model.get_base_model(), batch).logp
        with model.disable_adapter():
            bare = score(model.get_base_model(), batch).logp
        left = score(model.base_model.unload(), batch).logp

    assert torch.equal(bare, base)
    assert torch.equal(left, base)
    assert not torch.allclose(own, base, atol=1e-2)


@pytest.mark.parametrize("more", [{"use_dora": True}, {"lora_dropout": 0.5}])
def test_layers_that_do_more_stay_peft_s(more: dict[str, Any], tiny: Path) -> None:
    config = LoraConfig(r=4, target_modules="all-linear", **more)
    model = get_peft_model(row_alone.loaded(tiny, KERNEL), config)

    fuse(model)

    assert not any("forward" in vars(module) for module in model.modules())


def test_an_adapter_on_a_base_in_sixteen_bits_stays_in_thirty_two(tiny: Path) -> None:
    model = adapted(tiny)
    layer = next(
        m for m in model.modules() if type(m).__name__ == "Linear" and hasattr(m, "lora_A")
    )
    layer.base_layer.to(torch.bfloat16)
    fuse(model)
    hidden = torch.randn(2, 3, layer.in_features, dtype=torch.bfloat16, requires_grad=True)

    out: Tensor = layer(hidden)
    out.float().sum().backward()

    assert out.dtype == torch.bfloat16
    down, up = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    assert (down.grad.dtype, up.grad.dtype) == (torch.float32, torch.float32)
    exact = nn.functional.linear(hidden.float(), layer.base_layer.weight.float())
    exact += 3 * hidden.float() @ down.T @ up.T
    torch.testing.assert_close(out.float(), exact, atol=0.05, rtol=0.02)
