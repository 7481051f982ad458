"""Code of the user's own that a run is made with: kept in its directory, by what it holds.

FILE.py:CLASS becomes own/FILE-HASH.py:CLASS, relative to the directory.  So runs of different code
differ in their descriptions, wherever it lies, and a run is read with the code that it was made
with.
"""

import re
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from moot.agents.errors import InputError

from .table import whole

FOLDER, DIGITS = "own", 12
KEPT = re.compile(rf"(.+)-([0-9a-f]{{{DIGITS}}})\.py", re.DOTALL)


def address(code: str) -> str:
    """Return FILE.py:CLASS as a run's directory names it."""
    path, _, name = code.rpartition(":")
    file = Path(path)
    kept = KEPT.fullmatch(file.name) if file.parent.name == FOLDER else None
    return f"{FOLDER}/{kept[1] if kept else file.stem}-{_digits(file)}.py:{name}"


def keep(codes: Iterable[str], out: Path) -> None:
    """Copy the user's own code, each a FILE.py:CLASS, into the run's directory."""
    for code in codes:
        kept = out / address(code).rpartition(":")[0]
        if not kept.is_file():
            kept.parent.mkdir(exist_ok=True)
            with whole(kept) as beside:
                beside.write_bytes(Path(code.rpartition(":")[0]).read_bytes())


def intact(run: Path) -> None:
    """Raise where the user's own code in a run's directory isn't what it was made with.

    Raises:
        InputError: a file has changed.
    """
    for path in (run / FOLDER).glob("*.py"):
        kept = KEPT.fullmatch(path.name)
        if kept and _digits(path) != kept[2]:
            raise InputError(
                f"{path}: was changed, and is what this run was made with: put it back, "
                "and change a copy of it for another run"
            )


def _digits(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()[:DIGITS]
