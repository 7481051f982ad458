"""Code of the user's own that a run is made with: kept in its directory, by what it holds.

FILE.py:CLASS becomes own/FILE-HASH.py:CLASS, relative to the directory.  So runs of different code
differ in their descriptions, wherever it lies, and a run is read with the code that it was made
with.
"""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from moot.agents.own import OWN

from .table import whole

FOLDER, DIGITS = "own", 12
KEYS = ("kind", "verifier")
"""What may name a class."""


def addressed(value: Any, key: str = "") -> Any:
    """Return a description with each class of the user's own as a run's directory names it."""
    if isinstance(value, dict):
        return {name: addressed(child, name) for name, child in value.items()}
    if isinstance(value, list):
        return [addressed(child) for child in value]
    return _kept(value) if _names(key, value) else value


def keep(value: Any, out: Path) -> None:
    """Copy the files whose classes a description names, in full, into the run's directory."""
    for code in dict.fromkeys(_codes(value)):
        kept = out / _kept(code).rpartition(":")[0]
        if not kept.is_file():
            kept.parent.mkdir(exist_ok=True)
            with whole(kept) as beside:
                beside.write_bytes(_path(code).read_bytes())


def _codes(value: Any, key: str = "") -> Iterator[str]:
    """Yield what names a class in a description."""
    if isinstance(value, dict | list):
        children = value.items() if isinstance(value, dict) else (("", child) for child in value)
        for name, child in children:
            yield from _codes(child, name)
    elif _names(key, value):
        yield value


def _names(key: str, value: Any) -> bool:
    return key in KEYS and isinstance(value, str) and OWN.fullmatch(value) is not None


def _path(code: str) -> Path:
    return Path(code.rpartition(":")[0])


def _kept(code: str) -> str:
    """Return FILE.py:CLASS as a run's directory names it."""
    path, _, name = code.rpartition(":")
    digits = sha256(Path(path).read_bytes()).hexdigest()[:DIGITS]
    stem = Path(path).stem.removesuffix(f"-{digits}")  # it may be kept already
    return f"{FOLDER}/{stem}-{digits}.py:{name}"
