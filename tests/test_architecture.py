"""Base models: what fits a prefix tree is loaded, and of what doesn't it is said why not."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import EYES, BuildTiny
from row_alone import BATCH
from safetensors.torch import load_file, save_file
from told import learner
from torch import Tensor
from torch._dynamo.exc import InternalTorchDynamoError  # pyright: ignore[reportPrivateUsage]

from moot.agents.embedded.voice import Voice
from moot.agents.errors import EngineError, MootError
from moot.agents.weights.facts import facts
from moot.agents.weights.models import locate
from moot.agents.weights.pretrained import load
from moot.training.model import attention
from moot.training.model.architecture import base
from moot.training.model.forward import form, head
from moot.training.model.rows import rows
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


def test_what_does_not_fit_is_refused(build_tiny: BuildTiny, tmp_path: Path) -> None:
    model = build_tiny(tmp_path, logit_scale=0.5)  # which Llama's own code doesn't look at

    with pytest.raises(MootError, match=r"can't train this architecture: .* isn't what we find of"):
        base(model, FIT)


@pytest.mark.parametrize(
    ("architecture", "how"),
    [
        ("bloom", {}),  # takes no other attention, and doesn't say so
        ("gpt_neo", {"num_layers": 2, "num_heads": 4, "attention_types": [[["global"], 2]]}),
        ("llama4_text", {"num_local_experts": 2, "num_experts_per_tok": 1}),  # attends to chunks
    ],
)
def test_what_does_not_fit_a_tree_is_loaded_for_rows_side_by_side(
    architecture: str, how: dict[str, Any], build_tiny: BuildTiny, tmp_path: Path
) -> None:
    pupil = learner(build_tiny(tmp_path, architecture=architecture, **how))

    assert pupil.form == "rows"
    pupil.policy(rows(BATCH)).logp.sum().backward()
    assert any(p.grad is not None and p.grad.any() for p in pupil.parameters().values())


def test_a_layer_that_does_not_ask_for_our_attention_is_no_tree_s(
    build_tiny: BuildTiny, tmp_path: Path
) -> None:
    how = {"lru_width": 32, "attention_window_size": 8}
    model = build_tiny(tmp_path, architecture="recurrent_gemma", **how)

    # So near are two short rows beside each other in 16 bits that they wouldn't tell it.
    assert form(base(model, FIT.model_copy(update={"dtype": "bfloat16"}))) == "rows"


def test_what_is_wrong_with_the_machine_is_not_the_model_s(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Tensor:
        raise InternalTorchDynamoError("no C compiler")

    monkeypatch.setattr(attention, "attend", broken)

    with pytest.raises(MootError, match="attention can't be computed here: no C compiler"):
        base(tiny, FIT)


def test_a_model_filed_in_mxfp4_is_unpacked(build_tiny: BuildTiny, tmp_path: Path) -> None:
    how = {"num_local_experts": 2, "num_experts_per_tok": 1, "sliding_window": 4}
    folder = build_tiny(tmp_path, architecture="gpt_oss", **how)
    file, config = folder / "model.safetensors", folder / "config.json"
    filed, draw = load_file(file), torch.Generator().manual_seed(1)
    codes = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])
    wanted: dict[str, Tensor] = {}
    for name in [n for n in filed if n.endswith(("gate_up_proj", "down_proj"))]:
        experts, inputs, outputs = filed.pop(name).shape
        blocks = torch.randint(0, 256, (experts, outputs, inputs // 32, 16), generator=draw)
        scales = torch.randint(120, 124, (experts, outputs, inputs // 32), generator=draw)
        filed |= {f"{name}_blocks": blocks.byte(), f"{name}_scales": scales.byte()}
        pairs = torch.stack([codes[blocks % 16], codes[blocks // 16]], -1).flatten(-2)
        numbers = (pairs * 2.0 ** (scales - 127)[..., None]).flatten(-2)
        wanted[name] = numbers.transpose(1, 2)
    save_file(filed, file, metadata={"format": "pt"})
    packed = {"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]}
    config.write_text(json.dumps({**json.loads(config.read_text()), "quantization_config": packed}))

    pupil = learner(folder, FIT.model_copy(update={"lora": None}))

    assert len(wanted) == 4
    (tmp_path / "version").mkdir()
    pupil.save(tmp_path / "version")
    again = learner(folder, FIT.model_copy(update={"lora": None}), tmp_path / "version")
    for name, numbers in wanted.items():
        assert torch.equal(pupil.tensors()[name], numbers), name
        assert torch.equal(again.tensors()[name], numbers), name
    known = facts(str(folder))
    assert known is not None
    assert known.parameters == sum(p.numel() for p in pupil.base.parameters())
    with pytest.raises(EngineError, match=r"filed in few bits \(mxfp4\) already; not `quantized`"):
        load(folder, "float32", "cpu", quantized=True)


@pytest.mark.parametrize("kind", ["dynamic", "longrope"])
def test_no_more_is_learnt_from_than_a_rope_reads_alike(
    kind: str, build_tiny: BuildTiny, tmp_path: Path
) -> None:
    rope = {"rope_type": kind, "rope_theta": 1e4, "factor": 2.0}
    halves = {"long_factor": [2.0] * 4, "short_factor": [1.0] * 4} if kind == "longrope" else {}
    rope = {**rope, **halves, "original_max_position_embeddings": 128}

    pupil = learner(build_tiny(tmp_path, rope_parameters=rope))

    assert (pupil.context, pupil.form) == (128, "tree")


def test_rows_that_disturb_each_other_in_a_tree_go_side_by_side(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def everything(_: Any, position: Tensor) -> Sight:
        """All that comes before, and not only what a token follows."""
        return Sight(position, torch.full_like(position, len(position)))

    monkeypatch.setattr(Sight, "of", everything)

    assert form(base(tiny, FIT)) == "rows"
