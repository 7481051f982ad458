"""A base in 4 bits: an adapter learns on it and speaks from it, by bitsandbytes on the CPU."""

from pathlib import Path
from typing import Any

import pytest
import torch
from bitsandbytes.nn.modules import Linear4bit
from command import rows as table
from conftest import BuildTiny
from method_runs import played
from row_alone import BATCH
from told import FIT, learner, learnt, rollout

from moot.agents.errors import EngineError
from moot.agents.weights.facts import facts
from moot.agents.weights.models import locate
from moot.agents.weights.pretrained import load
from moot.training.methods.cat import CaT
from moot.training.model.rows import rows

QUANTIZED = FIT.model_copy(update={"quantized": True})
ROLLOUTS = [rollout(i, float(i == 0), (20 + i, 2)) for i in range(3)]


def test_a_base_in_4_bits_is_near_and_takes_what_the_plan_says() -> None:
    folder = locate("smollm2-135m-instruct")
    whole, small = (load(folder, "bfloat16", "cpu", quantized=q) for q in (False, True))

    found = sum(p.numel() * p.element_size() for p in small.parameters())
    scales = sum(
        state.absmax.numel() + state.state2.absmax.numel() * 4
        for state in (getattr(weight, "quant_state", None) for weight in small.parameters())
        if state is not None
    )
    known = facts(str(folder))
    assert known is not None
    assert found + scales == pytest.approx(known.size("nf4", "bfloat16"), rel=0.01)
    assert found + scales < 0.5 * known.size("bfloat16", "bfloat16")
    ids = torch.tensor([[504, 3575, 282, 4649, 314, 7042]])  # The capital of France is Paris
    with torch.no_grad():
        one, other = (m(ids).logits[0].float().log_softmax(-1) for m in (whole, small))
    assert one[-2].argmax() == other[-2].argmax()


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("gpt2", {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 64}),
        ("qwen3_moe", {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64}),
    ],
)
def test_what_4_bits_do_not_hold_is_counted_whole(
    kind: str, how: dict[str, Any], build_tiny: BuildTiny, tmp_path: Path
) -> None:
    folder = build_tiny(tmp_path, architecture=kind, **{"hidden_size": 64, "head_dim": 32, **how})
    loaded = load(folder, "float32", "cpu", quantized=True)

    known = facts(str(folder))
    assert known is not None
    held = sum(p.numel() * p.element_size() for p in loaded.parameters())
    assert held == pytest.approx(known.size("nf4", "float32"), rel=0.03)


def test_mamba_is_refused(build_tiny: BuildTiny, tmp_path: Path) -> None:
    folder = build_tiny(tmp_path, architecture="mamba")

    with pytest.raises(EngineError, match="4 bits can't hold it: Mamba's kernels read its weights"):
        load(folder, "float32", "cpu", quantized=True)


def test_an_adapter_learns_on_it_and_is_filed_as_any(tiny: Path, tmp_path: Path) -> None:
    pupil = learner(tiny, QUANTIZED)
    layers = [m for m in pupil.base.modules() if isinstance(m, Linear4bit)]
    assert len(layers) == 14
    assert pupil.form == "tree"
    before = pupil.fingerprint()

    steps = learnt(pupil, CaT(), ROLLOUTS, tiny, tmp_path, QUANTIZED)

    assert steps
    assert not torch.equal(pupil.fingerprint(), before)
    [kept] = tmp_path.glob("step-*")
    batch = rows(BATCH)
    with torch.no_grad():
        again = learner(tiny, QUANTIZED, kept).policy(batch).logp
        assert torch.equal(again, pupil.policy(batch).logp)
        exact = learner(tiny, FIT, kept).policy(batch).logp  # the same file, on the whole base
    assert 0 < (again - exact).abs().mean() < 1


def test_what_learns_and_what_speaks_are_the_same(tiny: Path, tmp_path: Path) -> None:
    both = "engines.main.quantized=true", "fit.quantized=true"

    out = played(tmp_path, tiny, "intuitor", *both)

    found = {row["name"]: row["value"] for row in table(out / "metrics.parquet")}
    assert found["swap/trainer_gap"] < 1e-3
    assert found["swap/canary_change"] > 0
