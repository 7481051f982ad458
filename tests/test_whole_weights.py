"""All of a model's weights learn, and are taken up again as they were."""

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import EYES
from safetensors.torch import load_file
from told import FIT, learner, learnt
from torch import Tensor
from transformers import AutoModelForCausalLM
from whole import SHOWN, WHOLE, logp

from moot.agents.embedded.adapters import Adapters
from moot.agents.embedded.tokens import Tokens
from moot.agents.errors import MootError
from moot.agents.types import Weights
from moot.agents.weights.pretrained import load
from moot.training.checkpoint import Progress
from moot.training.fit import fit
from moot.training.methods.sft import SFT
from moot.training.settings import Fit


def logits(model: Any) -> Tensor:
    """What a model says next, of a few tokens, with transformers' own attention."""
    model.eval().set_attn_implementation("eager")
    with torch.no_grad():
        return model(torch.tensor([[5, 6, 7, 8]]), use_cache=False).logits


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
OTHERS: dict[str, dict[str, Any]] = {
    "qwen3_moe": {**MIXED, "moe_intermediate_size": 16},
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "gemma3": {"vision_config": EYES},
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


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ([{"num_hidden_layers": n, "layer_types": None} for n in (1, 2)], r"layers\.1\."),
        ([{"intermediate_size": n} for n in (1, 48)], r"layers\.0\.mlp\."),  # one would do for all
    ],
)
@pytest.mark.parametrize("settings", [FIT, WHOLE])
def test_weights_of_another_model_are_refused(
    settings: Fit, changes: list[dict[str, Any]], name: str, build_tiny: Any, tmp_path: Path
) -> None:
    small, large = (build_tiny(tmp_path / str(i), **made) for i, made in enumerate(changes))
    learner(small, settings).save(tmp_path / "weights")

    with pytest.raises(MootError, match=rf"weights of another model: .*{name}"):
        learner(large, settings, tmp_path / "weights")


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
