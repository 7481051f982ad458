"""The journal: what was said, as it was said, on disk before anyone heard it.

One SQLite file in WAL mode.  A completion is one committed transaction, so a process that is
killed loses none that it was given; a power cut may lose the last few (synchronous=NORMAL).
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from moot.agents.errors import MootError
from moot.agents.types import Completion, Request

SCHEMA = """
create table if not exists said (
    episode text, turn integer, request text, completion blob,
    primary key (episode, turn, request)
) without rowid;
create table if not exists metrics (
    cycle integer, name text, step integer, value real, low real, high real,
    primary key (cycle, name, step)
) without rowid;
create table if not exists done (mark text primary key) without rowid;
"""


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that was measured; `step` is -1 where it is of a whole cycle."""

    cycle: int
    name: str
    value: float
    low: float | None = None
    high: float | None = None
    step: int = -1


class Journal:
    """A run's memory.  Everything written is idempotent: the same key again changes nothing."""

    def __init__(self, path: Path) -> None:
        """Open the journal at `path`, making it where there is none."""
        try:
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.execute("pragma journal_mode=wal")
            self._db.execute("pragma synchronous=normal")
            self._db.executescript(SCHEMA)
        except sqlite3.Error as error:
            raise MootError(f"{path}: can't be used as a journal: {error}") from None

    def recall(self, episode: str, turn: int, request: Request) -> Completion | None:
        """Return what was said to this request at this place, if it was."""
        try:
            row = self._db.execute(
                "select completion from said where episode = ? and turn = ? and request = ?",
                (episode, turn, digest(request)),
            ).fetchone()
        except sqlite3.DatabaseError as error:
            raise MootError(f"the journal can't be read: {error}") from None
        return None if row is None else _completion(row[0])

    def record(self, episode: str, turn: int, request: Request, said: Completion) -> None:
        """Write a completion down, durably, under the key of its request."""
        self._write(
            "insert or ignore into said values (?, ?, ?, ?)",
            [(episode, turn, digest(request), orjson.dumps(said))],
        )

    def measure(self, metrics: Iterable[Metric]) -> None:
        """Write metrics down; the same cycle, name and step again replaces the number."""
        rows = [(m.cycle, m.name, m.step, m.value, m.low, m.high) for m in metrics]
        self._write("insert or replace into metrics values (?, ?, ?, ?, ?, ?)", rows)

    def metrics(self) -> list[Metric]:
        """Return all metrics, by cycle, name and step."""
        rows = self._db.execute(
            "select cycle, name, value, low, high, step from metrics order by cycle, name, step"
        )
        return [Metric(*row) for row in rows]

    def finish(self, *marks: str) -> None:
        """Mark phases of the run, or whatever else is over, as done: all at once."""
        self._write("insert or ignore into done values (?)", [(mark,) for mark in marks])

    def finished(self, mark: str) -> bool:
        """Return whether something is marked as done."""
        row = self._db.execute("select 1 from done where mark = ?", (mark,)).fetchone()
        return row is not None

    def _write(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        try:
            with self._db:  # commits, or rolls back whatever is raised
                self._db.execute("begin")
                self._db.executemany(statement, rows)
        except sqlite3.DatabaseError as error:
            raise MootError(
                f"the journal can't be written: {error}; mend it and run again"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._db.close()


def digest(request: Request) -> str:
    """Return a name for all that decides a completion: prompt, sampling, seed and weights."""
    content = {f.name: getattr(request, f.name) for f in fields(request)}
    for name in (
        "choices",
        "shape",
        "verdict",
    ):  # a free reply keeps the name it had before there were these
        if not content[name]:
            del content[name]
    content["sampling"] = request.sampling.model_dump()
    return sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _completion(blob: bytes) -> Completion:
    raw: dict[str, Any] = orjson.loads(blob)
    for name in ("tokens", "logprobs", "prompt_tokens", "shares"):
        raw[name] = tuple(raw.get(name, ()))
    return Completion(**raw)
