"""Code of the user's own that a run is made with: kept in its directory, by what it holds.

FILE.py:CLASS becomes own/FILE-HASH.py:CLASS, relative to the directory.  So runs of different code
differ in their descriptions, wherever it lies, and a run is read with the code that it was made
with.
"""

from collections.abc import Mapping
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


def keep(leaves: Mapping[str, Any], out: Path) -> bool:
    """Copy the user's own code into the run's directory; return whether there is any.

    Args:
        leaves: a description, flat, with classes where their files lie.
        out: the directory.
    """
    codes = [leaf for key, leaf in leaves.items() if _names(key.rpartition(".")[2], leaf)]
    for code in codes:
        kept = out / _kept(code).rpartition(":")[0]
        if not kept.is_file():
            kept.parent.mkdir(exist_ok=True)
            with whole(kept) as beside:
                beside.write_bytes(Path(code.rpartition(":")[0]).read_bytes())
    return bool(codes)


def _names(key: str, value: Any) -> bool:
    return key in KEYS and isinstance(value, str) and OWN.fullmatch(value) is not None


def _kept(code: str) -> str:
    """Return FILE.py:CLASS as a run's directory names it."""
    path, _, name = code.rpartition(":")
    digits = sha256(Path(path).read_bytes()).hexdigest()[:DIGITS]
    stem = Path(path).stem.removesuffix(f"-{digits}")  # it may be kept already
    return f"{FOLDER}/{stem}-{digits}.py:{name}"
