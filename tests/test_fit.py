"""The training loop: learns, accumulates exactly, resumes to the last bit, stops at nonsense."""

from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any
from weakref import ref

import pytest
import torch
from fitting import EXAMPLES, FIT, rollout, training

from moot.agents.embedded.tokens import Tokens
from moot.agents.errors import MootError
from moot.training.checkpoint import latest, read
from moot.training.losses.policy import clipped, importance, mean
from moot.training.model.rows import columns, rows
from moot.training.model.stored import tensors
from moot.training.model.types import Scores
from moot.training.schedule import schedule
from moot.training.settings import Fit, Lora


def test_what_did_well_gets_likelier(tiny: Path, tmp_path: Path) -> None:
    good, bad = rollout(0, 2, 1.0), rollout(0, 1, -1.0)
    learner, steps = training(tiny, tmp_path, examples=[good, bad], settings=FIT)
    batch = rows(columns([good, bad]), Tokens(tiny))

    before = learner.policy(batch).logp.sum(-1)
    assert len(list(steps)) == 1
    after = learner.policy(batch).logp.sum(-1)

    assert after[0] > before[0]
    assert after[1] < before[1]


def test_no_pass_is_alive_when_the_next_begins(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = FIT.model_copy(update={"batch_tokens": 16})
    learner, steps = training(tiny, tmp_path, settings=settings)
    plain, passes = learner.policy, list[ref[torch.Tensor]]()

    def watched(*batch: Any, **how: Any) -> Scores:
        assert not any(one() is not None for one in passes)
        scores = plain(*batch, **how)
        passes.append(ref(scores.logp))
        return scores

    monkeypatch.setattr(learner, "policy", watched)
    taken = list(steps)
    assert len(passes) > len(taken)


def test_the_anchor_is_what_it_was(tiny: Path, tmp_path: Path) -> None:
    learner, steps = training(tiny, tmp_path)
    batch = rows(columns(EXAMPLES[:4]), Tokens(tiny))

    with learner.anchored():
        before = learner.policy(batch).logp
    torch.testing.assert_close(before, learner.policy(batch).logp)  # version 0 is the base
    list(steps)

    with learner.anchored():
        assert torch.equal(learner.policy(batch).logp, before)
    assert not torch.allclose(learner.policy(batch).logp, before)


def test_stopping_and_going_on_gives_the_same_bits(tiny: Path, tmp_path: Path) -> None:
    settings = FIT.model_copy(update={"epochs": 2})
    whole = list(training(tiny, tmp_path / "whole", settings=settings)[1])
    first = list(islice(training(tiny, tmp_path / "parts", settings=settings)[1], 3))
    rest = list(training(tiny, tmp_path / "parts", settings=settings)[1])

    # The third step was seen, but the process ended before its checkpoint: it is taken again.
    assert first[:2] + rest == whole
    names = [path.name for path in sorted((tmp_path / "whole").rglob("*.safetensors"))]
    assert names == ["adapter_model.safetensors", "optimizer.safetensors"]
    for name in names:
        [one], [other] = (list((tmp_path / d).rglob(name)) for d in ("whole", "parts"))
        assert one.read_bytes() == other.read_bytes()


def test_later_steps_are_held_near_the_policy_that_spoke(tiny: Path, tmp_path: Path) -> None:
    settings = FIT.model_copy(update={"lr": 5e-2, "groups": 6, "epochs": 2})
    learner, steps = training(tiny, tmp_path, settings=settings)
    batch = rows(columns(EXAMPLES), Tokens(tiny))
    gain = torch.tensor([one.advantage for one in EXAMPLES])

    spoke = learner.policy(batch).logp.detach()
    _, first = next(steps)
    ratio = importance(learner.policy(batch).logp.detach(), spoke, batch.mask)
    _, second = next(steps)

    cut = mean(clipped(ratio, gain, clip_low=0.2, clip_high=0.2), batch.mask).mean().item()
    assert cut > 0.1
    assert (first["clip_fraction"], second["clip_fraction"]) == (0, pytest.approx(cut))


def test_checkpoints_are_as_seldom_as_is_said(tiny: Path, tmp_path: Path) -> None:
    settings = FIT.model_copy(update={"checkpoint_every": 2})

    #  What is kept of a step is kept before the next is seen.
    kept = [latest(tmp_path) for _ in training(tiny, tmp_path, settings=settings)[1]]

    assert [None if one is None else one.step for one in kept] == [None, None, 2]


def test_parts_of_a_step_add_up_to_the_whole_step(tiny: Path, tmp_path: Path) -> None:
    once, steps = training(tiny, tmp_path / "a")
    list(steps)
    narrow = FIT.model_copy(update={"batch_tokens": 40})
    narrowly, steps = training(tiny, tmp_path / "b", settings=narrow)
    list(steps)

    for name, tensor in once.tensors().items():
        torch.testing.assert_close(narrowly.tensors()[name], tensor, atol=1e-5, rtol=1e-4)


def test_the_next_cycle_goes_on_with_the_optimisers_moments(tiny: Path, tmp_path: Path) -> None:
    list(training(tiny, tmp_path / "a")[1])
    end = latest(tmp_path / "a")
    assert end is not None
    assert (end.step, end.taken) == (3, 3)

    list(training(tiny, tmp_path / "b", start=end)[1])

    again = read(max((tmp_path / "b").glob("step-*")))
    assert (again.step, again.taken) == (3, 6)
    step = next(value for key, value in again.moments() if key.startswith("step."))
    assert step.item() == 6


def test_a_gradient_is_held_within_its_greatest_norm(tiny: Path, tmp_path: Path) -> None:
    settings = FIT.model_copy(update={"groups": 6, "clip_norm": 0.01})

    [(_, seen)] = training(tiny, tmp_path, settings=settings)[1]

    kept = latest(tmp_path)
    assert kept is not None
    first = [m.flatten() for name, m in kept.moments() if name.startswith("exp_avg.")]
    assert seen["grad_norm"] > 0.1
    #  After a step AdamW's first moment is a tenth of the gradient.
    assert torch.cat(first).norm().item() == pytest.approx(0.001, rel=1e-4)


def test_a_loss_that_is_not_finite_keeps_the_weights_of_before(tiny: Path, tmp_path: Path) -> None:
    bad = [rollout(0, 0, float("inf")), rollout(0, 1, 1.0)]
    learner, steps = training(tiny, tmp_path, examples=bad)
    before = {name: tensor.clone() for name, tensor in learner.tensors().items()}

    with pytest.raises(MootError, match="isn't finite"):
        list(steps)

    assert all(torch.equal(tensor, before[name]) for name, tensor in learner.tensors().items())
    assert latest(tmp_path) is None


def test_what_was_learnt_before_a_step_of_nonsense_is_on_disk(tiny: Path, tmp_path: Path) -> None:
    settings = FIT.model_copy(update={"checkpoint_every": 9})
    last = {one.episode for one in schedule(EXAMPLES, settings, seed=2)[-1]}
    bad = [replace(e, advantage=float("inf")) if e.episode in last else e for e in EXAMPLES]
    learner, steps = training(tiny, tmp_path, settings=settings, examples=bad)

    with pytest.raises(MootError, match="isn't finite"):
        list(steps)

    [kept] = tmp_path.glob("step-*")
    assert read(kept).step == 2
    filed = tensors(kept)
    assert all(torch.equal(tensor, filed[n]) for n, tensor in learner.tensors().items())


def test_all_weights_learn_more_slowly_than_an_adapter_unless_a_rate_is_said() -> None:
    whole: dict[str, Any] = {"lora": None}

    assert (Fit().lr, Fit(lora=Lora(rank=4)).lr, Fit(**whole).lr) == (1e-4, 1e-4, 1e-6)
    assert (Fit(lr=1e-3).lr, Fit(**whole, lr=1e-4).lr) == (1e-3, 1e-4)
    # A run's directory has it written out, so that what was begun goes on at the rate it had.
    assert Fit.model_validate(Fit(**whole).model_dump(mode="json")).lr == 1e-6


def test_a_gpu_computes_in_16_bits_and_holds_what_learns_in_32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def found(name: str) -> str:  # as where there is a GPU
        return f"/usr/bin/{name}"

    monkeypatch.setattr("shutil.which", found)

    dtypes = {lora is None: Fit(lora=lora).precision for lora in (Lora(), None)}

    assert dtypes == {False: "bfloat16", True: "bfloat16"}
    assert Fit(device="cpu").precision == Fit(dtype="float32").precision == "float32"
    divided = Fit(lora=None, shard=True, processes=2)
    assert (divided.precision, divided.held) == ("bfloat16", "float32")
    assert Fit(shard=True, processes=2).held == "bfloat16"
