"""Base models: what fits a prefix tree is loaded, and of what doesn't it is said why not."""

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import EYES, BuildTiny
from told import learner
from torch import Tensor

from moot.agents.embedded.voice import Voice
from moot.agents.errors import MootError
from moot.agents.weights.models import locate
from moot.training.model.architecture import base
from moot.training.model.forward import head, shares
from moot.training.model.sight import Sight
from moot.training.settings import Fit

FIT = Fit(device="cpu")


@pytest.mark.parametrize("number", ["float32", "bfloat16"])
def test_a_real_model_is_loaded_in_any_numbers(number: Any) -> None:
    fit = FIT.model_copy(update={"dtype": number})

    assert base(locate("smollm2-135m-instruct"), fit).dtype == getattr(torch, number)


def test_a_cap_is_found_in_the_part_that_reads(build_tiny: BuildTiny, tmp_path: Path) -> None:
    heads = {"num_key_value_heads": 2, "head_dim": 8, "global_head_dim": 8}
    model = build_tiny(
        tmp_path,
        architecture="gemma4",
        vision_config={**EYES, **heads},
        final_logit_softcapping=2.0,
        hidden_size_per_layer_input=0,
        num_kv_shared_layers=0,
        global_head_dim=8,
    )

    assert head(base(model, FIT)).cap == 2  # what transformers finds was compared


@pytest.mark.parametrize("most", [8, 16])
def test_a_model_that_reads_little_is_loaded(
    most: int, build_tiny: BuildTiny, tmp_path: Path
) -> None:
    how = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": most}
    model = build_tiny(tmp_path, architecture="gpt2", **how)

    base(model, FIT)
    Voice(model, "float32", "cpu")


@pytest.mark.parametrize(
    ("architecture", "how", "error"),
    [
        ("phi", {}, "its head is no linear layer without a bias"),
        ("bloom", {}, "its attention can't be another"),
        ("llama", {"logit_scale": 0.5}, r".* isn't what we find of it in transformers: .* apart"),
    ],
)
def test_what_does_not_fit_is_refused(
    architecture: str, how: dict[str, Any], error: str, build_tiny: BuildTiny, tmp_path: Path
) -> None:
    model = build_tiny(tmp_path, architecture=architecture, **how)

    with pytest.raises(MootError, match=rf"can't train this architecture: {error}"):
        base(model, FIT)


@pytest.mark.parametrize(
    ("architecture", "how"),
    [
        ("stablelm", {}),  # its layers aren't told who sees whom
        ("llama4_text", {"num_local_experts": 2, "num_experts_per_tok": 1}),
    ],
)
def test_what_does_not_fit_a_tree_is_loaded_for_rows_side_by_side(
    architecture: str, how: dict[str, Any], build_tiny: BuildTiny, tmp_path: Path
) -> None:
    assert not shares(base(build_tiny(tmp_path, architecture=architecture, **how), FIT))


@pytest.mark.parametrize("kind", ["dynamic", "longrope"])
def test_no_more_is_learnt_from_than_a_rope_reads_alike(
    kind: str, build_tiny: BuildTiny, tmp_path: Path
) -> None:
    rope = {"rope_type": kind, "rope_theta": 1e4, "factor": 2.0}
    halves = {"long_factor": [2.0] * 4, "short_factor": [1.0] * 4} if kind == "longrope" else {}
    rope = {**rope, **halves, "original_max_position_embeddings": 128}

    pupil = learner(build_tiny(tmp_path, rope_parameters=rope))

    assert (pupil.context, pupil.shares) == (128, True)


def test_rows_that_disturb_each_other_in_a_tree_go_side_by_side(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def everything(_: Any, position: Tensor) -> Sight:
        """All that comes before, and not only what a token follows."""
        return Sight(position, torch.full_like(position, len(position)))

    monkeypatch.setattr(Sight, "of", everything)

    assert not shares(base(tiny, FIT))
