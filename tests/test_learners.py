"""Learners: memory, one base for several, and who learns from whose words."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import BuildTiny
from told import FIT, learner, learnt, pair, rollout, words
from torch import Tensor
from whole import SHOWN, WHOLE, logp

from moot.agents.embedded.tokens import Tokens
from moot.agents.errors import MootError
from moot.experiments.cycle.course import readable, sources
from moot.experiments.experiment import Experiment
from moot.training.data.examples import Example, Said
from moot.training.methods.sft import SFT
from moot.training.model.architecture import base
from moot.training.model.forward import score
from moot.training.model.learner import Learner
from moot.training.model.rows import columns, rows
from moot.training.settings import Fit, Lora

# Memory.


@pytest.mark.parametrize("settings", [FIT, WHOLE])
def test_recomputing_gives_the_same_gradients(settings: Fit, tiny: Path) -> None:
    batch = rows(columns(SHOWN), Tokens(tiny))

    def gradients(recompute: bool) -> dict[str, Tensor]:
        pupil = learner(tiny, settings.model_copy(update={"recompute": recompute}))
        if settings.lora is not None:  # a fresh adapter's first half has no gradient
            for name, parameter in pupil.parameters().items():
                if "lora_B" in name:
                    torch.nn.init.constant_(parameter, 0.01)
        scores = pupil.policy(batch, entropy=True)
        (scores.logp.sum() + scores.entropy.sum()).backward()
        grads = {name: p.grad for name, p in pupil.parameters().items()}
        return {name: grad for name, grad in grads.items() if grad is not None}

    plain, again = gradients(recompute=False), gradients(recompute=True)

    assert plain.keys() == again.keys()
    assert all(grad.any() for grad in plain.values())
    for name, grad in plain.items():
        torch.testing.assert_close(again[name], grad, atol=1e-6, rtol=1e-6)


def test_an_adapter_is_as_wide_and_weighs_as_much_as_is_said(tiny: Path, tmp_path: Path) -> None:
    pupil = learner(tiny, FIT.model_copy(update={"lora": Lora(rank=2, alpha=20)}))

    pupil.save(tmp_path)

    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"]) == (2, 20)
    assert config["base_model_name_or_path"] == str(tiny)
    layers = [one for one in pupil.base.modules() if hasattr(one, "lora_A")]
    assert {one.scaling["default"] for one in layers} == {10}


def test_fresh_adapters_differ_by_their_seed(tiny: Path) -> None:
    first, same, other = (
        Learner(base(tiny, FIT), FIT, None, seed=seed, model=tiny).fingerprint()
        for seed in (1, 1, 2)
    )

    assert torch.equal(first, same)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("settings", [FIT, WHOLE])
def test_weights_of_which_some_are_missing_are_refused(settings: Fit, tiny: Path) -> None:
    pupil = learner(tiny, settings)
    name, *rest = pupil.tensors()

    with pytest.raises(MootError, match=f"weights of another model: {name}"):
        pupil.set({other: pupil.tensors()[other] for other in rest})


@pytest.mark.parametrize("recompute", [False, True])
def test_a_layer_runs_again_backward_where_it_is_recomputed(recompute: bool, tiny: Path) -> None:
    pupil, passes = learner(tiny, FIT.model_copy(update={"recompute": recompute})), list[int]()

    def counted(*_: object) -> None:
        passes.append(1)

    pupil.base.model.layers[0].mlp.register_forward_pre_hook(counted)

    pupil.policy(rows(columns(SHOWN), Tokens(tiny))).logp.sum().backward()

    assert len(passes) == 1 + recompute


@pytest.mark.parametrize(
    ("architecture", "shape"),
    [
        ("phi3", {"resid_pdrop": 0.5, "embd_pdrop": 0.5}),
        ("falcon", {"head_dim": ..., "hidden_dropout": 0.5, "attention_dropout": 0.5}),
    ],
)
def test_nothing_is_dropped_out_while_layers_are_recomputed(
    architecture: str, shape: dict[str, Any], build_tiny: BuildTiny, tmp_path: Path
) -> None:
    folder = build_tiny(tmp_path, architecture=architecture, **shape)
    pupil = learner(folder, FIT.model_copy(update={"recompute": True}))
    assert any(isinstance(module, torch.nn.Dropout) for module in pupil.base.modules())
    batch = rows(columns(SHOWN), Tokens(folder))

    assert torch.equal(pupil.policy(batch).logp, pupil.policy(batch).logp)


def test_one_base_serves_several_learners_and_is_itself_again(tiny: Path, tmp_path: Path) -> None:
    loaded, batch = base(tiny, FIT), rows(columns(SHOWN), Tokens(tiny))
    names = set(loaded.state_dict())
    with torch.no_grad():
        fresh = score(loaded, batch).logp

    def version(base: Any, seed: int, name: str) -> tuple[Tensor, Any]:
        """What is learnt from one of the examples, and the base after it."""
        pupil = Learner(base, FIT, None, seed=seed, model=tiny, scalar=seed == 0)
        learnt(pupil, SFT(), SHOWN[seed : seed + 1], tiny, tmp_path / name)
        return logp(pupil, tiny), pupil.close()

    for seed in range(2):
        said, loaded = version(loaded, seed, f"after-{seed}")
        #  As if nobody had been there before it, and as if it had not been there.
        assert torch.equal(said, version(base(tiny, FIT), seed, f"alone-{seed}")[0])
        assert not torch.equal(said, fresh)
        with torch.no_grad():
            assert torch.equal(score(loaded, batch).logp, fresh)
        assert set(loaded.state_dict()) == names


# Who learns from whom.

ITEMS = [{"prompt": f"{i}?", "answer": "4"} for i in range(2)]
MODELS = {"main": "smollm2-135m-instruct", "big": "smollm2-360m-instruct"}


def experiment(learns_from: str = "own") -> Experiment:
    """Two groups that learn, the first one's two agents apart, and one that doesn't."""
    first = {"name": "a", "count": 2, "adapters": "each", "learns_from": learns_from}
    return Experiment.model_validate(
        {
            "name": "x",
            "engines": {name: {"kind": "local", "model": model} for name, model in MODELS.items()},
            "population": [
                {**first, "engine": "main", "learns": True},
                {"name": "b", "count": 2, "engine": "big", "learns": True},
                {"name": "c", "engine": "main"},
            ],
            "tasks": {"kind": "inline", "verifier": "exact", "items": ITEMS},
            "protocol": {"kind": "sample"},
            "method": {"kind": "ttrl"},
        },
        strict=False,
    )


@pytest.mark.parametrize(
    ("learns_from", "heard"),
    [("own", {"a-0"}), ("group", {"a-0", "a-1"}), ("all", {"a-0", "a-1", "b"})],
)
def test_weights_learn_from_their_own_words_their_groups_or_all_learners(
    learns_from: str, heard: set[str]
) -> None:
    found = experiment(learns_from)

    assert sources(found, "a-0") == heard
    assert sources(found, "b") == {"b"}


def spoken(engine: str) -> Said:
    return replace(words("hi", (5, 6)), prompt_tokens=(1, 2), logprobs=(-1.0, -2.0), engine=engine)


def test_token_ids_of_another_model_are_dropped_and_the_words_stay() -> None:
    own, other, nobody = (spoken(engine) for engine in ("main", "big", ""))
    bare = {"tokens": (), "prompt_tokens": (), "logprobs": ()}
    found = experiment()

    def read(example: Example) -> Example:
        return readable(example, found, MODELS["main"])

    for said, kept in (
        (own, own),
        (other, replace(other, **bare)),
        (nobody, replace(nobody, **bare)),
    ):
        one = replace(rollout(0, 1.0, ()), said=said)
        shown = replace(SHOWN[0], said=said)
        assert read(one) == replace(one, said=kept)
        assert read(shown) == replace(shown, said=kept)
    both = pair("e", own, other)
    assert read(both) == replace(both, rejected=replace(other, **bare))
    mismatched = replace(rollout(0, 1.0, ()), said=own, beside=other)
    assert read(mismatched) == replace(mismatched, beside=replace(other, **bare))
    assert replace(other, **bare).text == "hi"
