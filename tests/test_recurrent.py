"""Layers that keep states, over a prefix tree: what rows begin with alike is read by them once."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from command import rows as table
from conftest import BuildTiny
from method_runs import played
from row_alone import (
    BATCH,
    BESIDE,
    ONCE,
    PROBE,
    RECURRENT,
    TALK,
    alone,
    gradients,
    loaded,
    said,
    same,
    some,
    split,
    summed,
)
from safetensors.torch import load_file, save_file
from told import FIT, learner
from torch import Tensor, nn

from moot.agents.types import Dtype
from moot.training.data.examples import Said
from moot.training.model import recurrent
from moot.training.model.architecture import base
from moot.training.model.forward import form, run, score
from moot.training.model.graphs import recordable
from moot.training.model.lora import fresh
from moot.training.model.rows import rows
from moot.training.model.sight import Sight
from moot.training.model.stretches import FEWEST
from moot.training.model.types import Rows
from moot.training.settings import Fit, Lora

NEAR = 2e-5
"""Nats: a row of 140 tokens is as far from itself when its chunks begin elsewhere."""


@pytest.fixture(scope="module", params=RECURRENT)
def folder(
    request: pytest.FixtureRequest, build_tiny: BuildTiny, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the folder of a tiny model of each architecture; not to be written to."""
    made = tmp_path_factory.mktemp(request.param)
    return build_tiny(made, architecture=request.param, **RECURRENT[request.param])


def adapted(model: Any, folder: Path) -> Any:
    """Put an adapter into the model as a learner has it, whose output isn't zero any more."""
    fresh(model, Lora(rank=4), seed=1, model=folder)
    draw = torch.Generator().manual_seed(2)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.2, generator=draw)
    return model


def handing(model: Any, batch: Rows) -> Tensor:
    """Return the hidden states where as much is handed on as can be."""
    return run(model, batch.tokens, Sight.of(batch.nodes, batch.position, handed=FEWEST))


@pytest.mark.parametrize("adapter", [False, True])
@pytest.mark.parametrize("recompute", [False, True])
def test_a_row_s_numbers_and_gradients_are_those_of_it_alone(
    folder: Path, adapter: bool, recompute: bool
) -> None:
    fit = FIT.model_copy(update={"lora": Lora() if adapter else None, "recompute": recompute})
    model, plain = base(folder, fit), loaded(folder, "eager")
    if adapter:
        model, plain = adapted(model, folder), adapted(plain, folder)
    batch = rows(TALK, probe=PROBE)

    found, expected = score(model, batch, bonus=True), [alone(plain, one) for one in TALK]

    for row, other in zip(split(found, batch.mask), expected, strict=True):
        for one, definition in zip(row, other, strict=True):
            torch.testing.assert_close(one, definition, atol=NEAR, rtol=0)
    same(
        gradients(model, summed(split(found, batch.mask), bonus=True)),
        gradients(plain, summed(expected, bonus=True)),
    )


@pytest.mark.parametrize("said", [BATCH, TALK])
def test_they_are_so_however_often_states_are_handed_on(folder: Path, said: list[Said]) -> None:
    model, plain = base(folder, FIT.model_copy(update={"lora": None})), loaded(folder, "eager")
    batch = rows(said, probe=PROBE)

    found = score(model, batch, through=handing)

    expected = [alone(plain, one) for one in said]
    for row, other in zip(split(found, batch.mask), expected, strict=True):
        torch.testing.assert_close(row[0], other[0], atol=NEAR, rtol=0)
    same(
        gradients(model, summed(split(found, batch.mask), bonus=False)),
        gradients(plain, summed(expected, bonus=False)),
    )


def test_what_many_rows_begin_with_is_read_once(folder: Path) -> None:
    model = base(folder, FIT)
    read = list[int]()

    def counted(_: nn.Module, args: tuple[Tensor, ...]) -> None:
        read.append(args[0][..., 0].numel())

    projections = [m for name, m in model.named_modules() if "in_proj" in name.rpartition(".")[2]]
    projections[0].register_forward_pre_hook(counted)
    batch = rows([said(ONCE, (n, 7, 8, 9)) for n in range(8)])

    score(model, batch)

    assert read == [len(ONCE), 8 * 4]
    assert sum(read) == len(batch.tokens)


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


def test_it_is_no_pass_that_a_graph_could_record(folder: Path) -> None:
    model = base(folder, FIT)

    class OnGPU:
        device = torch.device("cuda")
        parameters, modules, config = model.parameters, model.modules, model.config

    assert not recordable(Fit(graphs=True), OnGPU())


def test_without_a_tree_they_are_transformers_own(folder: Path) -> None:
    model, plain = base(folder, FIT), loaded(folder, "eager")
    model.set_attn_implementation("eager")
    ids = torch.tensor([some(9)])

    with torch.no_grad():
        score(base(folder, FIT), rows(TALK))
        assert torch.equal(model(ids).logits, plain(ids).logits)


@pytest.mark.parametrize("kind", {**RECURRENT, "mamba": BESIDE["mamba"]})
def test_no_adapter_is_where_a_kernel_reads_weights_itself(
    kind: str, build_tiny: BuildTiny, tmp_path: Path
) -> None:
    folder = build_tiny(tmp_path, architecture=kind, **{**RECURRENT, **BESIDE}[kind])
    model = adapted(loaded(folder, "eager"), folder)

    mixers = {name for name, module in model.named_modules() if hasattr(module, "A_log")}
    adapted_in = {n.partition(".lora_A")[0] for n, _ in model.named_modules() if "lora_A" in n}
    found = {
        layer
        for name in adapted_in
        for mixer, _, layer in [name.rpartition(".")]
        if mixer in mixers
    }
    # Mamba's mixers are called with their weights, where its kernels are there; others' aren't.
    linear = {"in_proj_qkv", "in_proj_z", "in_proj_b", "in_proj_a", "out_proj"}
    wanted = {"qwen3_5_text": linear, "lfm2": set[str]()}
    assert found == wanted.get(kind, {"in_proj"})
    assert adapted_in


@pytest.mark.parametrize("kind", [name for name in RECURRENT if name != "mamba2"])  # not served
def test_a_run_speaks_and_learns_with_it_on_a_tree(
    kind: str, build_tiny: BuildTiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = build_tiny(tmp_path / "model", architecture=kind, **RECURRENT[kind])

    out = played(tmp_path, model, "intuitor", "fit.groups=4")

    found = {row["name"]: row["value"] for row in table(out / "metrics.parquet")}
    assert "train/unshared" not in found
    assert found["swap/trainer_gap"] < 1e-4
    assert "each goes through it whole" not in capsys.readouterr().out


def test_a_learner_tells_that_it_shares(folder: Path) -> None:
    assert learner(folder).form == "states"
