"""Files of a run's directory: each appears whole or not at all, a table as it grows."""

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from moot.agents.errors import MootError, in_one_line

from .columns import VERSION

CHUNK = 4096
"""Rows that are held until they are written together, unless they come to `HELD` before."""
HELD = 2**26
"""Bytes of rows, about, that are held at most: prompts of 60,000 tokens are 2 MB a row."""
NUMBER = 32
"""Bytes of a number in a list, about: 8 of the list and 24 or more of its own."""
Rows = Iterable[dict[str, Any]]


def write(path: Path, schema: Any, rows: Rows) -> None:
    """Write `rows` to a Parquet file that appears whole or not at all."""
    with table(path, schema) as add:
        add(rows)


@contextmanager
def table(path: Path, schema: Any, *, empty: bool = True) -> Generator[Callable[[Rows], None]]:
    """Yield what adds rows to a Parquet file, which appears when the block succeeds.

    Args:
        path: the file.
        schema: its columns.
        empty: whether it appears without a row, too.
    """
    schema = schema.with_metadata({"moot_schema": VERSION})
    due: list[dict[str, Any]] = []
    written = held = 0
    with whole(path) as beside:
        with pq.ParquetWriter(beside, schema, compression="zstd") as file:

            def flush() -> None:
                nonlocal written, held
                file.write_table(pa.Table.from_pylist(due, schema=schema))
                written += len(due)
                due.clear()
                held = 0

            def add(rows: Rows) -> None:
                nonlocal held
                for row in rows:
                    due.append(row)
                    held += size(row)
                    if len(due) == CHUNK or held >= HELD:
                        flush()

            yield add
            flush()
        if not (written or empty):
            beside.unlink()


def size(value: Any) -> int:
    """Return how many bytes of memory a row's texts and lists take, about."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(map(size, value.values()))
    if isinstance(value, list | tuple):
        plain = not value or isinstance(value[0], int | float)
        return NUMBER * len(value) if plain else sum(map(size, value))
    return 0


@contextmanager
def whole(path: Path) -> Generator[Path]:
    """Yield a path beside `path` to write to; it takes its place when the block succeeds.

    Unless the block took it away again.
    """
    beside = path.with_name(f".{path.name}.part")
    try:
        with named(path):
            yield beside
            if beside.exists():
                beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def named(place: Path) -> Generator[None]:
    """While this lasts what can't be written is said to be at `place`, if the system says no file.

    Raises:
        MootError: a disk is full, for one: of that the system says nothing but so.
    """
    try:
        yield
    except OSError as error:
        if error.filename:
            raise
        why = error.strerror or in_one_line(error)
        raise MootError(f"{place}: {why}; mend it and run again") from None
