"""Export: what all cycles of a run taught, as one Parquet file that TRL and `datasets` read."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from moot.agents.errors import InputError, MootError

from .files.columns import DEMONSTRATIONS, PREFERENCES, REFERENCES, ROLLOUTS
from .files.directory import JOURNAL
from .files.table import write
from .report.readings import read, rows

KINDS = {
    "preferences": ("preferences.parquet", PREFERENCES),
    "demonstrations": ("demonstrations.parquet", DEMONSTRATIONS),
    "references": ("episodes.parquet", REFERENCES),
    "rollouts": ("examples.parquet", ROLLOUTS),
}


def export(run: Path, kind: str, to: Path) -> int:
    """Write what the cycles of `run` taught to the file `to`; return how many rows it has.

    Raises:
        MootError: there is none of this kind, `run` isn't a run's directory, or `to` is no place
            for it.
    """
    if kind not in KINDS:
        raise InputError(f"--kind: expected {', '.join(KINDS)}, spans or model, got '{kind}'")
    checked(to, ".parquet")
    name, schema = KINDS[kind]
    talks = read(run).talks.values()
    files = [folder / name for folder in talks if (folder / name).is_file()]
    if kind == "rollouts":  # the examples of other methods are preferences or demonstrations
        files = [file for file in files if "reward" in pq.read_schema(file).names]
    found = _rows(kind, files)
    first = next(found, None)
    if first is None:
        raise MootError(f"{run}: its talk yielded no {kind}: nothing is written")
    write(to, schema, chain([first], found))
    return pq.read_metadata(to).num_rows


def checked(to: Path, *suffixes: str) -> None:
    """Refuse to write where no such file belongs, or in place of what a run needs.

    An earlier export may be written over, and in a run's directory a graph.

    Args:
        to: the file.
        suffixes: how its name may end.
    """
    if not to.parent.is_dir():
        raise InputError(f"--to {to}: there is no folder {to.parent}")
    if to.is_dir():
        raise InputError(f"--to {to}: is a directory; name a file in it")
    if to.suffix not in suffixes:
        raise InputError(f"--to {to}: expected a file that ends in {' or '.join(suffixes)}")
    place = to.parent.resolve()
    ran = next((p for p in (place, *place.parents) if (p / JOURNAL).is_file()), None)
    if ran and to.exists() and not to.name.startswith("graph-"):
        raise InputError(f"--to {to}: is a file of the run in {ran}; name another")


def _rows(kind: str, files: list[Path]) -> Iterator[dict[str, Any]]:
    for file in files:
        for row in rows(file):
            if kind != "references":
                yield row
            elif row["reference"] is not None:
                yield {
                    "cycle": row["cycle"],
                    "episode": row["episode"],
                    "protocol": row["protocol"],
                    "prompt": [{"role": "user", "content": row["question"]}],
                    "completion": [{"role": "assistant", "content": row["reference"]}],
                    "finish": row.get("reference_finish"),
                }
