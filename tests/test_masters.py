"""All weights learn in float32, whatever the model computes in, and steps of a millionth add up."""

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from command import moot
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from told import learner, learnt
from whole import SHOWN, WHOLE, logp

from moot.agents.embedded.tokens import Tokens
from moot.agents.weights.pretrained import load
from moot.training.checkpoint import OPTIMIZER, Progress, read
from moot.training.fit import fit
from moot.training.methods.sft import SFT
from moot.training.model.attention import KERNEL
from moot.training.model.forward import score
from moot.training.model.learner import Learner
from moot.training.model.rows import columns, rows
from moot.training.settings import Fit

HALF = WHOLE.model_copy(update={"dtype": "bfloat16"})
TINY_STEPS = HALF.model_copy(update={"lr": 1e-6, "epochs": 4})


def rounded(pupil: Learner) -> bool:
    """Whether what the model computes with is what learns, rounded."""
    own = pupil.parameters()
    named = dict(pupil.base.named_parameters())
    return own.keys() == named.keys() and all(
        named[name].dtype == torch.bfloat16
        and one.dtype == torch.float32
        and torch.equal(named[name], one.to(torch.bfloat16))
        for name, one in own.items()
    )


@pytest.mark.parametrize("tied", [True, False])
def test_steps_that_bfloat16_would_lose_add_up(tied: bool, build_tiny: Any, tmp_path: Path) -> None:
    model = build_tiny(tmp_path / "model", tie_word_embeddings=tied)
    pupil = learner(model, TINY_STEPS)
    before = {name: p.detach().clone() for name, p in pupil.parameters().items()}

    steps = learnt(pupil, SFT(), SHOWN, model, tmp_path / "fit", TINY_STEPS)

    assert rounded(pupil)
    assert len(steps) == 4
    for name, parameter in pupil.parameters().items():
        far = (parameter.detach() - before[name]).abs()
        assert 2e-6 < far.max() <= 4.1e-6, name


def test_the_gradient_is_the_rounded_models_and_is_summed_in_float32(tiny: Path) -> None:
    pupil, plain = learner(tiny, HALF), load(tiny, "bfloat16", "cpu", attention=KERNEL)
    batch = rows(columns(SHOWN), Tokens(tiny))
    score(plain, batch).logp.sum().backward()
    single = {name: p.grad for name, p in plain.named_parameters()}

    for _ in range(3):
        pupil.policy(batch).logp.sum().backward()

    assert all(p.grad is None for p in pupil.base.parameters())
    for name, parameter in pupil.parameters().items():
        assert parameter.grad is not None
        assert single[name] is not None
        three = 3 * single[name].float()  # bfloat16 would round it
        torch.testing.assert_close(parameter.grad, three, atol=1e-6, rtol=1e-6)


def test_it_learns_what_float32_learns_but_for_rounding(tiny: Path, tmp_path: Path) -> None:
    said: dict[str, list[float]] = {}
    for settings in (WHOLE, HALF):
        pupil = learner(tiny, settings)
        start = logp(pupil, tiny).sum()
        learnt(pupil, SFT(), SHOWN, tiny, tmp_path / settings.dtype, settings)
        said[settings.dtype] = [float(start), float(logp(pupil, tiny).sum())]
    (before, after), (rough_before, rough_after) = said["auto"], said["bfloat16"]
    assert after - before > 0.5
    assert rough_after - rough_before == pytest.approx(after - before, rel=0.1)


def test_two_steps_are_one_a_stop_and_one(tiny: Path, tmp_path: Path) -> None:
    settings = HALF.model_copy(update={"epochs": 2})
    through, cut = learner(tiny, settings), learner(tiny, settings)
    how: dict[str, Any] = {"seed": 2, "start": Progress()}
    everything = (SFT(), SHOWN, Tokens(tiny), settings)
    list(fit(through, *everything, folder=tmp_path / "through", **how))
    list(islice(fit(cut, *everything, folder=tmp_path / "cut", **how), 2))

    again = learner(tiny, settings)
    list(fit(again, *everything, folder=tmp_path / "cut", **how))

    assert rounded(again)
    for name, tensor in through.tensors().items():
        assert torch.equal(again.tensors()[name], tensor), name


def test_what_is_filed_is_float32_and_is_taken_up_again_to_the_last_bit(
    tiny: Path, tmp_path: Path
) -> None:
    pupil = learner(tiny, TINY_STEPS)
    learnt(pupil, SFT(), SHOWN, tiny, tmp_path, TINY_STEPS)
    [kept] = tmp_path.glob("step-*")

    again = learner(tiny, TINY_STEPS, kept)

    assert {t.dtype for t in load_file(kept / "model.safetensors").values()} == {torch.float32}
    assert json.loads((kept / "config.json").read_text())["dtype"] == "float32"
    assert all(torch.equal(t, again.tensors()[name]) for name, t in pupil.tensors().items())
    assert rounded(again)
    assert torch.equal(logp(again, tiny), logp(pupil, tiny))
    assert dict(read(kept).moments())
    served = load(kept, "bfloat16", "cpu")  # as an engine has it
    for name, parameter in served.named_parameters():
        assert torch.equal(parameter, dict(pupil.base.named_parameters())[name])


def test_a_roll_back_brings_both_back(tiny: Path, tmp_path: Path) -> None:
    guards = {"kl": 1e-6, "then": "rollback"}
    settings = Fit.model_validate(
        {**HALF.model_dump(), "epochs": 3, "lr": 1e-2, "guards": guards}, strict=False
    )
    pupil = learner(tiny, settings)
    before = {name: t.clone() for name, t in pupil.tensors().items()}

    learnt(pupil, SFT(), SHOWN, tiny, tmp_path, settings)

    assert rounded(pupil)
    assert all(torch.equal(t, before[name]) for name, t in pupil.tensors().items())


def test_a_scalar_head_learns_beside_all_weights_and_is_none_of_the_models(
    tiny: Path, tmp_path: Path
) -> None:
    pupil = learner(tiny, HALF, scalar=True)
    batch = rows(columns(SHOWN), Tokens(tiny))
    reward = pupil.policy(batch).reward
    assert reward is not None
    reward.sum().backward()
    assert {name for name, p in pupil.parameters().items() if p.grad is not None} > {
        "scalar_head.weight",
        "model.norm.weight",
    }

    pupil.save(tmp_path)
    again = learner(tiny, HALF, tmp_path, scalar=True)

    assert pupil.parameters().keys() == again.parameters().keys()
    for name, parameter in again.parameters().items():
        assert torch.equal(parameter, pupil.parameters()[name])


def test_moments_that_an_earlier_moot_kept_in_16_bits_are_taken_up(
    tiny: Path, tmp_path: Path
) -> None:
    learnt(learner(tiny, HALF), SFT(), SHOWN, tiny, tmp_path / "before", HALF)
    [kept] = (tmp_path / "before").glob("step-*")
    for file in (kept / OPTIMIZER, kept / "model.safetensors"):
        with safe_open(file, "pt") as opened:
            said = opened.metadata()
        found = load_file(file)
        half = {n: t if n.startswith("step.") else t.bfloat16() for n, t in found.items()}
        save_file(half, file, metadata=said)
    config = json.loads((kept / "config.json").read_text())
    (kept / "config.json").write_text(json.dumps({**config, "dtype": "bfloat16"}))

    pupil = learner(tiny, HALF, kept)
    steps = learnt(pupil, SFT(), SHOWN, tiny, tmp_path / "now", HALF, start=read(kept))

    assert len(steps) == 1
    assert {t.dtype for t in pupil.tensors().values()} == {torch.float32}


RUN = """\
name: small-steps
cycles: 2
engines:
  main: {{kind: local, model: {model}, device: cpu, dtype: bfloat16}}
population:
  - {{name: solver, count: 2, learns: true, sampling: {{temperature: 1.0, max_tokens: 3}}}}
tasks:
  kind: inline
  verifier: exact
  held_out: 2
  per_cycle: 2
  items:
    - {{prompt: "1+1?", answer: "2"}}
    - {{prompt: "1+2?", answer: "3"}}
    - {{prompt: "1+3?", answer: "4"}}
    - {{prompt: "1+4?", answer: "5"}}
protocol: {{kind: sample, samples: 4}}
method: {{kind: intuitor}}
fit: {{lora: null, dtype: bfloat16, device: cpu, warmup_steps: 100}}
evaluation: {{samples: 1, controls: false}}
"""


def test_a_run_bears_steps_that_are_not_in_the_rounded_weights_yet(
    tiny: Path, tmp_path: Path
) -> None:
    (tmp_path / "x.yaml").write_text(RUN.format(model=tiny))

    assert moot("run", tmp_path / "x.yaml", "--out", tmp_path / "out") == 0

    first, second = (
        load_file(tmp_path / f"out/cycle-{n:03d}/weights/solver/model.safetensors") for n in (0, 1)
    )
    assert any(not torch.equal(tensor, second[name]) for name, tensor in first.items())
