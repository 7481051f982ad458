"""Adapters of a text model in the files of one that sees: vLLM goes by the files' names."""

from pathlib import Path

import pytest
import torch
from conftest import EYES, BuildTiny
from row_alone import RECURRENT
from safetensors.torch import load_file, save_file
from standing_in import Site, found
from told import learner

from moot.agents.engine import Engine
from moot.agents.errors import EngineError
from moot.agents.types import Weights
from moot.agents.weights.facts import facts
from moot.agents.weights.names import ADAPTER, ADAPTER_CONFIG, FILED, as_filed

OWN = "base_model.model.model.layers.0.mlp.up_proj.lora_A.weight"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return found(tmp_path, monkeypatch)


def filed(folder: Path, name: str) -> Path:
    """Make a folder in which a model has one tensor of that name."""
    folder.mkdir(exist_ok=True)
    save_file({name: torch.ones(2, 3)}, folder / "model.safetensors")
    return folder


def adapter(folder: Path, name: str = OWN) -> Path:
    folder.mkdir()
    (folder / "adapter_config.json").write_text('{"r": 1}')
    tensors = {name: torch.ones(1, 3, dtype=torch.bfloat16), f"{name}.b": torch.arange(5.0)}
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


def test_layers_are_named_as_the_base_s_files_name_them(tmp_path: Path) -> None:
    base = filed(tmp_path / "base", "model.language_model.layers.0.mlp.up_proj.weight")
    own = adapter(tmp_path / "own")

    made = as_filed(own, base)

    assert made == own / FILED
    long = OWN.replace("model.layers", "model.language_model.layers")
    before, after = (load_file(f / "adapter_model.safetensors") for f in (own, made))
    assert {name.replace(OWN, long): t.tolist() for name, t in before.items()} == {
        name: t.tolist() for name, t in after.items()
    }
    assert after[long].dtype == torch.bfloat16
    assert (made / "adapter_config.json").read_text() == '{"r": 1}'
    assert as_filed(made, base) == made  # it has these names already
    whole = (made / "adapter_model.safetensors").read_bytes()
    (made / "adapter_model.safetensors").write_bytes(whole[:-9])
    assert as_filed(own, base) == made
    assert (made / "adapter_model.safetensors").read_bytes() == whole
    assert sorted(path.name for path in made.iterdir()) == sorted((ADAPTER, ADAPTER_CONFIG))


def test_what_is_named_so_already_stays_where_it_is(tmp_path: Path) -> None:
    own = adapter(tmp_path / "own")

    assert as_filed(own, filed(tmp_path / "base", "model.layers.0.mlp.up_proj.weight")) == own
    assert as_filed(own, tmp_path / "nothing") == own
    assert as_filed(tmp_path / "nobody", tmp_path / "base") == tmp_path / "nobody"  # vLLM says it


@pytest.mark.parametrize("prefix", ["model.language_model", "language_model.model"])
def test_the_text_model_may_be_called_so_or_so(prefix: str, tmp_path: Path) -> None:
    base = filed(tmp_path / "base", f"{prefix}.layers.0.mlp.up_proj.weight")
    own = adapter(tmp_path / "own")
    seeing = adapter(tmp_path / "seeing", "base_model.model.model.language_model.layers.0.lora_A")

    made = as_filed(own, base)

    [name] = [n for n in load_file(made / ADAPTER) if not n.endswith(".b")]
    assert name == f"base_model.model.{prefix}.layers.0.mlp.up_proj.lora_A.weight"
    assert as_filed(seeing, base) == seeing  # vLLM knows what transformers calls all of it


def test_a_damaged_adapter_is_named(tmp_path: Path) -> None:
    base = filed(tmp_path / "base", "model.language_model.layers.0.mlp.up_proj.weight")
    own = adapter(tmp_path / "own")
    (own / "adapter_model.safetensors").write_bytes(b"")

    with pytest.raises(EngineError, match=r"adapter_model\.safetensors: is damaged"):
        as_filed(own, base)


def test_a_server_is_given_an_adapter_by_the_names_of_its_model_s_files(
    site: Site, tmp_path: Path
) -> None:
    filed(tmp_path / "model", "model.language_model.layers.0.mlp.up_proj.weight")
    own = adapter(tmp_path / "pupil")

    async def part(engine: Engine) -> None:
        await engine.load(Weights("pupil", 1, own))

    site.play(part)

    assert (own / FILED / "adapter_config.json").exists()


def test_what_is_learnt_on_a_model_that_sees_is_named_as_its_files_are(
    build_tiny: BuildTiny, tmp_path: Path
) -> None:
    vision = {**EYES, "num_heads": 2, "out_hidden_size": 32, "depth": 1}
    how = RECURRENT["qwen3_5_text"]
    base = build_tiny(tmp_path / "base", architecture="qwen3_5", vision_config=vision, **how)
    (tmp_path / "own").mkdir()
    learner(base).save(tmp_path / "own")

    made = as_filed(tmp_path / "own", base)

    learnt = load_file(made / "adapter_model.safetensors")
    layers = {name.removeprefix("base_model.model.").partition(".lora_")[0] for name in learnt}
    files = {n for f in base.glob("*.safetensors") for n in load_file(f)}
    assert {f"{layer}.weight" for layer in layers} <= files
    assert facts(str(base)) is not None
