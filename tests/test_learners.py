"""Learners: all of a model's weights, one base for several, and who learns from whose words."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from told import FIT, learner, learnt, pair, rollout, words
from torch import Tensor
from transformers import AutoModelForCausalLM

from moot.agents.adapters import Adapters
from moot.agents.errors import MootError
from moot.agents.pretrained import load
from moot.agents.tokens import Tokens
from moot.agents.types import Weights
from moot.experiments.course import readable, sources
from moot.experiments.experiment import Experiment
from moot.training.architecture import base
from moot.training.checkpoint import Progress
from moot.training.examples import Example, Rollout, Said, Shown
from moot.training.fit import fit, graded
from moot.training.forward import score
from moot.training.learner import Learner
from moot.training.methods.cat import CaT
from moot.training.methods.sft import SFT
from moot.training.objective import Objective
from moot.training.rows import columns, rows
from moot.training.settings import Fit

WHOLE = FIT.model_copy(update={"lora": None, "lr": 1e-3})
SHOWN = [
    Shown(f"e{i}", 0, "a", ("w",), words(text), "reference") for i, text in enumerate(("ab", "cd"))
]


def logp(pupil: Learner, model: Path, examples: Sequence[Example] = SHOWN) -> Tensor:
    with torch.no_grad():
        return pupil.policy(rows(columns(examples), Tokens(model))).logp


def logits(model: Any) -> Tensor:
    """What a model says next, of a few tokens, with transformers' own attention."""
    model.eval().set_attn_implementation("eager")
    with torch.no_grad():
        return model(torch.tensor([[5, 6, 7, 8]]), use_cache=False).logits


# All of the weights.


@pytest.mark.parametrize("tied", [True, False])
def test_all_weights_learn_and_are_kept_as_transformers_keeps_them(
    tied: bool, build_tiny: Any, tmp_path: Path
) -> None:
    model = build_tiny(tmp_path / "model", tie_word_embeddings=tied)
    pupil = learner(model, WHOLE)
    before = {name: tensor.clone() for name, tensor in pupil.tensors().items()}
    said = logp(pupil, model)

    learnt(pupil, SFT(), SHOWN, model, tmp_path / "fit", WHOLE)

    assert (logp(pupil, model).sum(-1) > said.sum(-1)).all()
    assert all(not torch.equal(tensor, before[n]) for n, tensor in pupil.tensors().items())
    [kept] = (tmp_path / "fit").glob("step-*")
    names = {path.name for path in kept.iterdir()}
    assert {"config.json", "model.safetensors", "optimizer"} <= names
    assert "adapter_config.json" not in names
    assert json.loads((kept / "config.json").read_text())["model_type"] == "llama"
    loaded = AutoModelForCausalLM.from_pretrained(kept, dtype=torch.float32)
    again = learner(model, WHOLE, kept)
    assert torch.equal(logp(again, model), logp(pupil, model))
    assert torch.equal(logits(loaded), logits(again.base))
    assert again.close() is None  # nobody's any more


MIXED = {"num_experts": 4, "num_experts_per_tok": 2}
EYES = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
OTHERS: dict[str, dict[str, Any]] = {
    "qwen3_moe": {**MIXED, "moe_intermediate_size": 16},
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "gemma3": {"vision_config": {**EYES, "num_attention_heads": 2, "image_size": 28}},
}
"""Architectures that transformers files under other names than they have in memory."""


@pytest.mark.parametrize("settings", [FIT, WHOLE])
@pytest.mark.parametrize("architecture", OTHERS)
def test_what_was_learnt_is_taken_up_again_where_files_have_other_names(
    settings: Fit, architecture: str, build_tiny: Any, tmp_path: Path
) -> None:
    model = build_tiny(tmp_path / "model", architecture=architecture, **OTHERS[architecture])
    pupil = learner(model, settings)
    learnt(pupil, SFT(), SHOWN, model, tmp_path / "fit", settings)
    [kept] = (tmp_path / "fit").glob("step-*")
    if settings is WHOLE:
        assert load_file(kept / "model.safetensors").keys() - pupil.tensors().keys()

    again = learner(model, settings, kept)
    served = Adapters(load(model, "float32", "cpu").eval())
    served.load(Weights("w", 1, kept))

    assert all(torch.equal(t, again.tensors()[name]) for name, t in pupil.tensors().items())
    spoken = [logits(served.speaking("w")) for _ in range(2)]
    for said in spoken:  # the second time an adapter is in its place already
        torch.testing.assert_close(said, logits(again.base), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(spoken[0], logits(served.speaking(None)), atol=1e-4)


def test_weights_of_another_model_are_refused(build_tiny: Any, tmp_path: Path) -> None:
    shallow, deep = (
        build_tiny(tmp_path / str(n), num_hidden_layers=n, layer_types=None) for n in (1, 2)
    )
    for settings in (FIT, WHOLE):
        learner(shallow, settings).save(tmp_path / "weights")

        with pytest.raises(MootError, match=r"weights of another model: .*layers\.1\."):
            learner(deep, settings, tmp_path / "weights")
        shutil.rmtree(tmp_path / "weights")


def test_the_anchor_of_all_weights_is_the_base_while_the_policy_moves(
    tiny: Path, tmp_path: Path
) -> None:
    pupil = learner(tiny, WHOLE)
    before = logp(pupil, tiny)
    learnt(pupil, SFT(), SHOWN, tiny, tmp_path, WHOLE)
    moved = logp(pupil, tiny)

    with pupil.anchored():
        assert torch.equal(logp(pupil, tiny), before)

    assert torch.equal(logp(pupil, tiny), moved)
    assert not torch.allclose(moved, before)


def test_all_weights_go_on_to_the_same_bits(tiny: Path, tmp_path: Path) -> None:
    settings = WHOLE.model_copy(update={"groups": 1, "epochs": 2})

    def steps(name: str) -> Any:
        how: Any = {"seed": 2, "start": Progress(), "folder": tmp_path / name}
        return fit(learner(tiny, settings), SFT(), SHOWN, Tokens(tiny), settings, **how)

    whole = list(steps("whole"))
    first = list(islice(steps("parts"), 3))
    rest = list(steps("parts"))

    assert first[:2] + rest == whole
    for file in ("model.safetensors", "optimizer.safetensors"):
        [one], [other] = (list((tmp_path / d).rglob(file)) for d in ("whole", "parts"))
        assert one.read_bytes() == other.read_bytes()


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


def test_others_words_are_credited_in_the_group_and_learnt_by_who_hears_them(
    tiny: Path,
) -> None:
    method = CaT(objective=Objective(scale="none", kl=0))
    examples = [rollout(i, float(i == 0), (20 + i,), weights="wv"[i]) for i in range(2)]

    found = graded(
        learner(tiny), method, examples, Tokens(tiny), FIT, lambda e: e.speakers == ("v",)
    )

    assert [(one.advantage, one.weights) for one in found if isinstance(one, Rollout)] == [
        (-0.5, "v")
    ]
