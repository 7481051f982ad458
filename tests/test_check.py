"""Layers that keep states go by a tree where nothing is lost; what would be is seen at loading."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import BuildTiny
from row_alone import RECURRENT, folders
from safetensors.torch import load_file, save_file
from told import FIT
from torch import Tensor

from moot.agents.types import Dtype
from moot.training.model import recurrent
from moot.training.model.architecture import base
from moot.training.model.forward import form

folder = folders(RECURRENT)


def cut(memory: recurrent.Memory, change: Callable[[Tensor], Tensor]) -> recurrent.Memory:
    kinds = memory.conv_states, memory.recurrent_states
    return recurrent.Memory(*({i: change(s) for i, s in kind.items()} for kind in kinds))


def test_a_gradient_that_a_kernel_loses_is_noticed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert form(base(folder, FIT)) == "states"
    joined = recurrent.Memory.joined

    # Forward as it should be; the states are gone on from, and no gradient comes back to them.
    def lost(some: Sequence[recurrent.Memory]) -> recurrent.Memory:
        return cut(joined(some), Tensor.detach)

    monkeypatch.setattr(recurrent.Memory, "joined", lost)

    for dtype in ("float32", "bfloat16"):
        assert form(base(folder, FIT.model_copy(update={"dtype": dtype}))) == "rows"


def test_a_state_whose_own_gradient_is_lost_is_noticed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = recurrent.Memory.of

    def lost(memory: recurrent.Memory, n: int) -> recurrent.Memory:
        return cut(of(memory, n), lambda state: state.detach().requires_grad_())

    monkeypatch.setattr(recurrent.Memory, "of", lost)

    assert form(base(folder, FIT)) == "rows"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_goes_on_from_no_state_is_noticed(
    dtype: Dtype, build_tiny: BuildTiny, tmp_path: Path
) -> None:
    how = {"attn_layer_period": 2, "attn_layer_offset": 1, "use_mamba_kernels": False}
    model = build_tiny(tmp_path, architecture="jamba", num_experts=1, num_experts_per_tok=1, **how)
    for name, tensor in (tensors := load_file(file := model / "model.safetensors")).items():
        if "dt_proj.bias" in name:  # what it remembers it hardly hears: short rows wouldn't tell
            tensors[name] = torch.full_like(tensor, -9.0)
    save_file(tensors, file, metadata={"format": "pt"})

    assert form(base(model, FIT.model_copy(update={"dtype": dtype}))) == "rows"


def test_attention_that_layers_have_in_common_is_none_of_theirs(
    build_tiny: BuildTiny, tmp_path: Path
) -> None:
    model = build_tiny(
        tmp_path,
        architecture="zamba2",
        num_hidden_layers=3,
        layers_block_type=["mamba", "hybrid", "mamba"],
        num_key_value_heads=4,
        mamba_d_state=8,
        mamba_ngroups=1,
        n_mamba_heads=4,
    )

    assert form(base(model, FIT)) == "states"


def test_a_part_that_is_told_of_no_tree_is_noticed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deaf(_: object, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return forward(*args, **kwargs)

    monkeypatch.setattr(recurrent, "_telling", deaf)

    assert form(base(folder, FIT)) == "rows"
