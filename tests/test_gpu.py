"""On a GPU: what the CPU gives, within float32's rounding.  Where there is no GPU it says so."""

from pathlib import Path
from typing import Any

import local_engine as local
import masked_softmax
import pytest
import row_alone
import several_processes as jobs
import torch
from command import moot, rows
from conftest import BuildTiny
from test_run import EXPERIMENT
from torch import Tensor

from moot.agents.embedded.local import Local
from moot.agents.engine import Engine
from moot.agents.types import Completion, Weights
from moot.training import world
from moot.training.data.examples import Said
from moot.training.methods.empo import EMPO
from moot.training.methods.intuitor import Intuitor
from moot.training.methods.laser import LaSeR
from moot.training.methods.rent import RENT
from moot.training.model import rows as batches
from moot.training.model import sharding
from moot.training.model.architecture import base
from moot.training.model.attention import KERNEL, attend
from moot.training.model.forward import form, score
from moot.training.model.sight import Sight
from moot.training.model.stored import tensors
from moot.training.model.tree import tree
from moot.training.policy_gradient.objective import Objective
from moot.training.study import study

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")

GPU = torch.device("cuda")
LONG = list(range(200))
TREES = {
    "short": masked_softmax.DEEP,
    "ragged": [*([*LONG, *range(end, end + 60)] for end in range(1000, 5000, 1000)), [7] * 90],
    "even": [[*LONG, *range(end, end + 156)] for end in (1000, 2000)],
}


@pytest.fixture(scope="module")
def sixteen(build_tiny: BuildTiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny model whose heads are wide enough for FlexAttention."""
    return build_tiny(tmp_path_factory.mktemp("sixteen"), spare=["<|reserved_0|>"], head_dim=16)


@pytest.mark.parametrize("cap", [None, 1.5])
@pytest.mark.parametrize("window", [None, 3, 150])
@pytest.mark.parametrize("shape", TREES)
@pytest.mark.parametrize("sinks", [False, True])
def test_attention_is_a_masked_softmax(
    shape: str, window: int | None, cap: float | None, sinks: bool
) -> None:
    packed = tree(TREES[shape])
    position = torch.from_numpy(packed.position)
    seen, there = (Sight.of(packed.nodes, t) for t in (position, position.to(GPU)))
    exact = masked_softmax.drawn(len(position), 16)
    query, key, value = (t.detach().float().to(GPU).requires_grad_() for t in exact)
    sink = torch.tensor([-1.0, 0, 2, 5], dtype=torch.float64, requires_grad=True)
    own = sink.detach().float().to(GPU).requires_grad_()

    scale = masked_softmax.SCALE
    found = attend(query, key, value, there, scale, window, cap, own if sinks else None)
    mask = seen.within(window or seen.depth)
    expected = masked_softmax.written_out(*exact, mask, cap, sink if sinks else None)

    torch.testing.assert_close(found.double().cpu(), expected, atol=2e-5, rtol=2e-5)
    by = torch.linspace(-1, 1, expected.numel(), dtype=torch.float64).view_as(expected)
    ours = torch.autograd.grad((found * by.to(GPU)).sum(), (query, key, value, *[own] * sinks))
    theirs = torch.autograd.grad((expected * by).sum(), (*exact, *[sink] * sinks))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.double().cpu(), other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", row_alone.ARCHITECTURES)
def test_a_row_s_numbers_and_gradients_are_those_of_it_alone(
    name: str, build_tiny: BuildTiny, tmp_path: Path
) -> None:
    overrides = {"head_dim": 16, **row_alone.ARCHITECTURES[name]}
    folder = build_tiny(tmp_path / name, architecture=name, **overrides)
    model = row_alone.adapted(row_alone.loaded(folder, KERNEL).to(GPU), adapter=True)
    plain = row_alone.adapted(row_alone.loaded(folder, "eager"), adapter=True)

    as_alone(model, plain, row_alone.BATCH)


@pytest.mark.parametrize("name", row_alone.RECURRENT)
def test_states_are_handed_on_here_too(name: str, build_tiny: BuildTiny, tmp_path: Path) -> None:
    how = row_alone.RECURRENT[name]
    folder = build_tiny(tmp_path / name, architecture=name, **{"head_dim": 16, **how})
    model = base(
        folder, jobs.FIT.model_copy(update={"device": "cuda", "dtype": "float32", "lora": None})
    )
    plain = row_alone.loaded(folder, "eager")
    assert form(model) == "states"

    as_alone(model, plain, row_alone.TALK)


def as_alone(model: Any, plain: Any, said: list[Said]) -> None:
    """Check what a model here finds of rows against each row alone, on the CPU."""
    batch = batches.moved(batches.rows(said, probe=row_alone.PROBE), GPU)

    found = row_alone.split(score(model, batch, bonus=True), batch.mask)
    expected = [row_alone.alone(plain, one) for one in said]

    for row, other in zip(found, expected, strict=True):
        for one, definition in zip(row, other, strict=True):
            torch.testing.assert_close(one.cpu(), definition, atol=1e-4, rtol=0)
    near(gradients(model, found), gradients(plain, expected))


def gradients(model: Any, of: list[tuple[Tensor, ...]]) -> dict[str, Tensor]:
    on_cpu = [tuple(t.cpu() for t in row) for row in of]
    return row_alone.gradients(model, row_alone.summed(on_cpu, bonus=True))


def near(found: dict[str, Tensor], expected: dict[str, Tensor], within: float = 1e-4) -> None:
    """Check tensors to a part of the greatest number among them."""
    assert found.keys() == expected.keys()
    most = max(float(t.abs().max()) for t in expected.values())
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name].cpu(), tensor, atol=within * most, rtol=0)


KL = Objective(kl=0.1)
METHODS = {
    **{name: jobs.METHODS[name] for name, *_ in jobs.CASES if name != "rounded"},
    "laser": (LaSeR(objective=KL), jobs.FIT),
    "intuitor": (Intuitor(objective=KL), jobs.FIT),
    "rent": (RENT(objective=KL), jobs.FIT),
    "empo": (EMPO(objective=KL), jobs.FIT),
}


@pytest.mark.parametrize(("lora", "graphs"), [(True, False), (True, True), (False, False)])
@pytest.mark.parametrize("name", METHODS)
def test_a_training_ends_where_the_cpus_does(
    name: str,
    lora: bool,
    graphs: bool,
    sixteen: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jobs, "METHODS", METHODS)

    def ended(device: str, folder: Path) -> tuple[list[Any], dict[str, Tensor]]:
        recorded = graphs and device == "cuda" and not METHODS[name][1].recompute
        changes: dict[str, Any] = {"device": device, "dtype": "float32", "graphs": recorded}
        changes |= {} if lora else {"lora": None}
        work = jobs.job(name, sixteen, folder, **changes)
        steps, _ = jobs.taken(study(work, jobs.examples(name)))
        [last] = folder.glob("step-*")
        return steps, tensors(last)

    (steps, weights), (same, expected) = (
        ended(device, tmp_path / name) for device, name in (("cuda", "there"), ("cpu", "here"))
    )

    for (number, metrics), (other, wanted) in zip(steps, same, strict=True):
        assert number == other
        assert metrics == pytest.approx(wanted, rel=1e-2, abs=1e-3)
    near(weights, expected, 0.01)  # AdamW's first steps make much of tiny gradients


def test_all_weights_learn_in_float32_while_the_model_computes_in_bfloat16(
    sixteen: Path, tmp_path: Path
) -> None:
    def ended(device: str) -> dict[str, Tensor]:
        work = jobs.job("rounded", sixteen, tmp_path / device, lora=None, device=device)
        jobs.taken(study(work, jobs.examples("rounded")))
        [last] = (tmp_path / device).glob("step-*")
        return tensors(last)

    found, expected = ended("cuda"), ended("cpu")

    assert {t.dtype for t in found.values()} == {torch.float32}
    assert any(not torch.equal(t, t.bfloat16().float()) for t in found.values())
    near(found, expected, 0.01)


def test_the_same_training_twice_gives_the_same_bits(sixteen: Path, tmp_path: Path) -> None:
    for name in ("one", "other"):
        work = jobs.job("cat", sixteen, tmp_path / name, device="cuda")
        jobs.taken(study(work, jobs.examples("cat")))

    [one], [other] = (
        [*(tmp_path / n).rglob("adapter_model.safetensors")] for n in ("one", "other")
    )
    assert one.read_bytes() == other.read_bytes()


def test_a_divided_model_gives_the_same_numbers(
    sixteen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "LOCAL_RANK"):
        monkeypatch.setenv(name, "0")
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    monkeypatch.setenv("MASTER_PORT", "29533")
    batch = batches.moved(batches.rows(row_alone.BATCH), GPU)
    plain, model = (row_alone.loaded(sixteen, KERNEL) for _ in range(2))
    plain.to(GPU)

    with world.joined("cuda"):
        bare, numbers = sharding.emptied(model)
        sharding.shard(bare, numbers, GPU, torch.float32)
        found, expected = bare.scored(batch).logp, score(plain, batch).logp
        found.square().sum().backward()
        expected.square().sum().backward()
        ours, theirs = (
            {n: sharding.whole(p.grad).cpu() for n, p in m.named_parameters()}
            for m in (bare, plain)
        )

    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    near(ours, theirs)


def test_the_local_engine_says_the_same(sixteen: Path, tmp_path: Path) -> None:
    path = local.adapter(sixteen, tmp_path / "v1", seed=1)
    greedy = {"temperature": 0, "max_tokens": 12}

    async def use(engine: Engine) -> list[Completion]:
        await engine.load(Weights("p", 1, path))
        spoken = [None, ("p", 1)]
        asked = [local.request(text, 3, s, **greedy) for text in local.TEXTS for s in spoken]
        return [await engine.generate(one) for one in asked]

    there, here = (
        local.with_engine(Local(model=str(sixteen), device=device, dtype="float32"), use)
        for device in ("cuda", "cpu")
    )

    for one, other in zip(there, here, strict=True):
        assert one.tokens == other.tokens
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-3)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_run_talks_learns_and_proves(dtype: str, sixteen: Path, tmp_path: Path) -> None:
    items = ", ".join(f"{{prompt: question {i}, answer: a}}" for i in range(16))
    text = EXPERIMENT.format(model=sixteen, items=items)
    text = text.replace("device: cpu", f"device: cuda, dtype: {dtype}")
    (tmp_path / "x.yaml").write_text(text)

    assert moot("run", tmp_path / "x.yaml", "--out", tmp_path / "out") == 0

    found = {m["name"]: m["value"] for m in rows(tmp_path / "out/metrics.parquet")}
    for i in range(4):
        assert found[f"swap/canary_change@pupil-{i}"] > 0
        assert found[f"swap/trainer_gap@pupil-{i}"] < (1e-3 if dtype == "float32" else 0.1)
