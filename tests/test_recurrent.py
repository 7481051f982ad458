"""Layers that keep states, over a prefix tree: what rows begin with alike is read by them once."""

from dataclasses import replace
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
    folders,
    gradients,
    loaded,
    said,
    same,
    some,
    split,
    summed,
    taught,
)
from told import FIT, learner
from torch import Tensor, nn

from moot.training.data.examples import Said
from moot.training.model.architecture import base
from moot.training.model.forward import run, score
from moot.training.model.graphs import recordable
from moot.training.model.rows import rows
from moot.training.model.sight import Sight
from moot.training.model.stretches import FEWEST
from moot.training.model.types import Rows
from moot.training.settings import Fit, Lora

NEAR = 2e-5
"""Nats: a row of 140 tokens is as far from itself when its chunks begin elsewhere."""


folder = folders(RECURRENT)


def handing(model: Any, batch: Rows) -> Tensor:
    """Return the hidden states where as much is handed on as can be."""
    sight = replace(Sight.of(batch.nodes, batch.position), handed=FEWEST)
    return run(model, batch.tokens, sight)


@pytest.mark.parametrize("adapter", [False, True])
@pytest.mark.parametrize("recompute", [False, True])
def test_a_row_s_numbers_and_gradients_are_those_of_it_alone(
    folder: Path, adapter: bool, recompute: bool
) -> None:
    fit = FIT.model_copy(update={"lora": Lora() if adapter else None, "recompute": recompute})
    model, plain = base(folder, fit), loaded(folder, "eager")
    if adapter:
        model, plain = taught(model, folder), taught(plain, folder)
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
    model = taught(loaded(folder, "eager"), folder)

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
