"""The journal: what was said, as it was said, on disk before anyone heard it.

One SQLite file in WAL mode.  Completions that arrive in the same turn of the event loop are one
transaction, and none is given on before it is committed: a process that is killed loses none that
anyone heard; a power cut may lose the last few (synchronous=NORMAL).
"""

import asyncio
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from moot.agents.errors import MootError
from moot.agents.types import Completion, Request

from .ledger import COUNTS, Spent, Usage

FIELDS = tuple(f.name for f in fields(Request))
CONSTRAINTS = ("choices", "shape", "verdict")
"""Left out of a digest where they are empty: a free reply keeps the one it has in old journals."""
SCHEMA = """
create table if not exists said (
    episode text, turn integer, request text, completion blob,
    primary key (episode, turn, request)
) without rowid;
create table if not exists refused (request text primary key, why text) without rowid;
create table if not exists metrics (
    cycle integer, name text, step integer, value real, low real, high real,
    primary key (cycle, name, step)
) without rowid;
create table if not exists usage (
    phase text, protocol text, agent text, party text, role text, engine text, calls integer,
    tokens_in integer, tokens_cached integer, tokens_out integer, seconds real, retries integer,
    primary key (phase, protocol, agent, role, engine)
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
        self._due: list[tuple[tuple[object, ...], asyncio.Future[None]]] = []

    def recall(self, episode: str, turn: int, request: str) -> Completion | None:
        """Return what was said to the request of this digest at this place, if it was."""
        try:
            row = self._db.execute(
                "select completion from said where episode = ? and turn = ? and request = ?",
                (episode, turn, request),
            ).fetchone()
        except sqlite3.DatabaseError as error:
            raise MootError(f"the journal can't be read: {error}") from None
        return None if row is None else completion(row[0])

    async def record(self, episode: str, turn: int, request: str, said: Completion) -> None:
        """Write a completion down under the digest of its request; it is durable on return."""
        loop = asyncio.get_running_loop()
        if not self._due:
            loop.call_soon(self._commit)
        written: asyncio.Future[None] = loop.create_future()
        self._due.append(((episode, turn, request, orjson.dumps(said)), written))
        await written

    def _commit(self) -> None:
        """Write down what is due, in one transaction, and tell who waits for it."""
        due, self._due = self._due, []
        failed: MootError | None = None
        try:
            rows = [row for row, _ in due]
            self._write("insert or ignore into said values (?, ?, ?, ?)", rows)
        except MootError as error:
            failed = error
        for _, written in due:
            if written.done():  # nobody waits any more
                continue
            if failed is None:
                written.set_result(None)
            else:
                written.set_exception(failed)

    def refuse(self, request: str, why: str) -> None:
        """Write down that an engine won't answer the request of this digest.

        A run that goes on asks again; one that replays it knows.
        """
        self._write("insert or replace into refused values (?, ?)", [(request, why)])

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

    def account(self, usage: Iterable[Usage]) -> None:
        """Write accounts down, without their cost; the same account again replaces the first."""
        rows = [
            (u.phase, u.protocol, u.agent, u.group, u.role, u.engine, *_counts(u.spent))
            for u in usage
        ]
        self._write(f"insert or replace into usage values ({', '.join('?' * 12)})", rows)

    def accounts(self) -> list[Usage]:
        """Return all accounts, by phase, protocol, agent, role and engine."""
        rows = self._db.execute(
            f"select phase, protocol, agent, party, role, engine, {', '.join(COUNTS)} from usage "
            "order by phase, protocol, agent, role, engine"
        )
        found: list[Usage] = []
        for phase, protocol, agent, party, role, engine, *counts in rows:
            spent = Spent(**dict(zip(COUNTS, counts, strict=True)))
            found.append(Usage(phase, protocol, agent, party, role, engine, spent))
        return found

    def finish(self, *marks: str) -> None:
        """Mark phases of the run, or whatever else is over, as done: all at once."""
        self._write("insert or ignore into done values (?)", [(mark,) for mark in marks])

    def finished(self, mark: str) -> bool:
        """Return whether something is marked as done."""
        row = self._db.execute("select 1 from done where mark = ?", (mark,)).fetchone()
        return row is not None

    def forget(self, *marks: str) -> None:
        """Take back that these are done, what was measured in them and what they took.

        What was said in them stays.
        """
        self._write("delete from done where mark = ?", [(mark,) for mark in marks])
        self._write("delete from metrics where name like ? || '/%'", [(mark,) for mark in marks])
        phases = "delete from usage where phase = ? or phase like ? || '-%'"
        self._write(phases, [(mark, mark) for mark in marks])

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
        if self._due:
            self._commit()
        self._db.close()


def empty(path: Path) -> bool:
    """Return whether there is no journal at `path`, or one that knows of nothing said or done.

    One that can't be read isn't empty: who opens it will say so.
    """
    if not path.is_file():
        return True
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True)) as db:
            made = db.execute("select name from sqlite_master where name in ('said', 'done')")
            return not any(db.execute(f"select 1 from {t} limit 1").fetchone() for (t,) in made)
    except sqlite3.Error:
        return False


def digest(request: Request) -> str:
    """Return a name for all that decides a completion: prompt, sampling, seed and weights."""
    content = {
        name: value
        for name in FIELDS
        if (value := getattr(request, name)) or name not in CONSTRAINTS
    }
    content["sampling"] = request.sampling.__dict__
    return sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _counts(spent: Spent) -> tuple[float, ...]:
    return tuple(getattr(spent, name) for name in COUNTS)


def completion(blob: bytes) -> Completion:
    """Return what was written down as `blob`."""
    raw: dict[str, Any] = orjson.loads(blob)
    for name in ("tokens", "logprobs", "prompt_tokens", "shares"):
        raw[name] = tuple(raw.get(name, ()))
    return Completion(**raw)
