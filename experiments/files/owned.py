"""Code of the user's own that a run is made with: kept in its directory, by what it holds.

FILE.py:CLASS becomes own/FILE-HASH.py:CLASS, relative to the directory.  So runs of different code
differ in their descriptions, wherever it lies, and a run is read with the code that it was made
with.
"""

import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from moot.agents.errors import InputError
from moot.agents.own import OWN

from .table import whole

FOLDER, DIGITS = "own", 12
KEPT = re.compile(rf"({FOLDER}/.+-([0-9a-f]{{{DIGITS}}})\.py):\w+", re.DOTALL)
KEYS = ("kind", "verifier")
"""What may name a class."""


def addressed(value: Any, key: str = "") -> Any:
    """Return a description with each class of the user's own as a run's directory names it."""
    if isinstance(value, dict):
        return {name: addressed(child, name) for name, child in value.items()}
    if isinstance(value, list):
        return [addressed(child) for child in value]
    return _kept(value) if _lies(key, value) else value


def keep(leaves: Mapping[str, Any], out: Path) -> bool:
    """Copy the user's own code into the run's directory; return whether there is any.

    Args:
        leaves: a description, flat, with classes where their files lie.
        out: the directory.
    """
    codes = [leaf for key, leaf in leaves.items() if _lies(key, leaf)]
    for code in codes:
        kept = out / _kept(code).rpartition(":")[0]
        if not kept.is_file():
            kept.parent.mkdir(exist_ok=True)
            with whole(kept) as beside:
                beside.write_bytes(Path(code.rpartition(":")[0]).read_bytes())
    return bool(codes)


def intact(leaves: Mapping[str, Any], run: Path) -> None:
    """Raise where the user's own code in a run's directory isn't what it was made with.

    Args:
        leaves: the description that is there, flat.
        run: the directory.

    Raises:
        InputError: a file has changed.
    """
    for key, leaf in leaves.items():
        kept = KEPT.fullmatch(leaf) if _may_name(key, leaf) else None
        if kept and (run / kept[1]).is_file() and _digits(run / kept[1]) != kept[2]:
            raise InputError(
                f"{run / kept[1]}: was changed, and is what this run was made with: put it back, "
                "and change a copy of it for another run"
            )


def _may_name(key: str, value: Any) -> bool:
    return key.rpartition(".")[2] in KEYS and isinstance(value, str)


def _lies(key: str, value: Any) -> bool:
    """Return whether a value names a class of the user's own, by the whole path of its file."""
    found = OWN.fullmatch(value) if _may_name(key, value) else None
    return found is not None and Path(found[1]).is_absolute()


def _digits(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()[:DIGITS]


def _kept(code: str) -> str:
    """Return FILE.py:CLASS as a run's directory names it."""
    path, _, name = code.rpartition(":")
    digits = _digits(Path(path))
    stem = Path(path).stem.removesuffix(f"-{digits}")  # it may be kept already
    return f"{FOLDER}/{stem}-{digits}.py:{name}"
