"""Readings: what a run's directory holds so far, finished or not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from moot.agents.errors import InputError, MootError, in_one_line
from moot.training.data import parquet

from ..files.columns import EPISODES, METRICS, TURNS, USAGE, VERDICTS

Row = dict[str, Any]
"""One row of a Parquet file, by column."""

SCHEMAS = {
    "turns": TURNS,
    "episodes": EPISODES,
    "verdicts": VERDICTS,
    "metrics": METRICS,
    "usage": USAGE,
}


@dataclass(frozen=True, slots=True)
class Readings:
    """A run's files, as far as they are there and can be read."""

    path: Path
    resolved: str
    """experiment.yaml as it lies."""
    experiment: dict[str, Any]
    """The same, as plain data."""
    metrics: tuple[Row, ...]
    usage: tuple[Row, ...]
    """What was spent, by phase, protocol and agent."""
    talks: dict[int, Path]
    """The folders of the cycles whose talk is complete, by cycle."""
    held_out: dict[int, Path]
    """The folders of the complete evaluations, by the weights version that was evaluated."""
    baseline: Path | None
    """The folder of the untrained model's vote, if it is complete."""
    unreadable: tuple[str, ...]
    """What lies there and can't be read, and why."""

    def turns(self, columns: Sequence[str]) -> Iterator[Row]:
        """Yield the turns of all talk, cycle by cycle, each episode's together."""
        for folder in self.talks.values():
            yield from rows(folder / "turns.parquet", columns)

    @property
    def cycles(self) -> int:
        """How many cycles the experiment is to have."""
        return int(self.experiment.get("cycles") or 0)

    @property
    def seed(self) -> int:
        """The experiment's seed."""
        return int(self.experiment.get("seed") or 0)


def read(run: Path) -> Readings:
    """Return what the directory `run` holds.

    Raises:
        MootError: it isn't a run's directory.
    """
    resolved = run / "experiment.yaml"
    if not run.is_dir():
        raise InputError(f"{run}: there is no such directory")
    if not resolved.is_file():
        raise InputError(
            f"{run}: holds no run (there is no experiment.yaml); name a run's directory"
        )
    text = resolved.read_text(encoding="utf-8", errors="replace")
    unreadable: list[str] = []

    def whole(path: Path) -> bool:
        if not path.is_file():
            return False
        if problem := trouble(path):
            unreadable.append(f"{path.relative_to(run)}: {problem}")
        return not problem

    def complete(folder: Path) -> bool:
        return all(whole(folder / f"{name}.parquet") for name in ("turns", "episodes", "verdicts"))

    def folders(prefix: str) -> dict[int, Path]:
        there = sorted(p for p in run.glob(f"{prefix}-*") if p.name[len(prefix) + 1 :].isdigit())
        found = {int(path.name[len(prefix) + 1 :]): path for path in there}
        return {n: folder for n, folder in sorted(found.items()) if complete(folder)}

    metrics, usage = run / "metrics.parquet", run / "usage.parquet"
    return Readings(
        path=run,
        resolved=text,
        experiment=_parsed(text, resolved),
        metrics=tuple(rows(metrics)) if whole(metrics) else (),
        usage=tuple(rows(usage)) if whole(usage) else (),
        talks=folders("cycle"),
        held_out=folders("held-out"),
        baseline=run / "baseline" if complete(run / "baseline") else None,
        unreadable=tuple(unreadable),
    )


def _parsed(text: str, path: Path) -> dict[str, Any]:
    try:
        found = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise MootError(f"{path}: isn't YAML: {in_one_line(error)}") from None
    if not isinstance(found, dict):
        raise MootError(f"{path}: expected an experiment, got {type(found).__name__}")
    return {str(key): value for key, value in found.items()}


def trouble(path: Path) -> str | None:
    """Return why a Parquet file of ours can't be read; `None`: it can."""
    try:
        there = pq.read_schema(path)
    except (OSError, pa.ArrowException) as error:
        return in_one_line(error)
    missing = [name for name in SCHEMAS[path.stem].names if name not in there.names]
    return f"it has no column {', '.join(missing)}" if missing else None


def rows(path: Path, columns: Sequence[str] | None = None) -> Iterator[Row]:
    """Yield a file's rows, some at a time, so that its size doesn't matter."""
    with parquet.opened(path) as file:
        yield from parquet.rows(file, columns)


def rows_of(path: Path, episode: str) -> list[Row]:
    """Return the rows of one episode; of others no more than their ids is read."""
    found: list[Row] = []
    with parquet.opened(path) as file:
        for group in range(file.num_row_groups):
            if episode in file.read_row_group(group, ["episode"])["episode"].to_pylist():
                whole = file.read_row_group(group)
                found += whole.filter(pc.field("episode") == episode).to_pylist()
    return found
