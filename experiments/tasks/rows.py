"""Rows of questions and answers out of a file: JSONL, CSV or Parquet.  Errors say file:line."""

import csv
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from moot.agents.errors import MootError, near
from moot.agents.types import HALF

Row = tuple[str, Mapping[str, Any]]
"""Where it stands, and its cells by column."""


def rows(path: Path) -> Iterator[Row]:
    """Yield the file's rows; at least one."""
    if path.suffix not in READERS:
        raise MootError(f"{path}: expected a file that ends in {', '.join(READERS)}")
    empty = True
    try:
        for row in READERS[path.suffix](path):
            yield row
            empty = False
    except IsADirectoryError:
        raise MootError(f"{path}: is a directory; expected a file") from None
    except FileNotFoundError:
        raise MootError(f"{path}: no such file{_near_file(path)}") from None
    except OSError as error:
        raise MootError(f"{path}: {error.strerror or error}") from None
    if empty:
        raise MootError(f"{path}: holds no rows")


def cell(row: Row, column: str, way: str) -> str | None:
    """Return what stands in a column as text; `None`: nothing does.  No such column is an error.

    `way` says how the column may be named.
    NaN is nothing, and a whole float an integer: where a number is missing, pandas makes a column
    of integers one of floats.
    """
    where, cells = row
    if column not in cells:
        meant = near(column, cells, show=False)
        there = ", ".join(map(str, cells)) or "none"
        raise MootError(f"{where}: no column {column!r}; there are: {there}{meant}; {way}")
    value = cells[column]
    number = value if isinstance(value, float) else 0.0
    if value is None or math.isnan(number) or not str(value).strip():
        return None
    known = isinstance(value, str | int | float) and not isinstance(value, bool)
    if not known or math.isinf(number):
        raise MootError(f"{where}: {column}: expected text or a number, found {repr(value)[:40]}")
    if half := HALF.search(str(value)):
        raise MootError(f"{where}: {column}: {half[0]!r} is half a surrogate pair, no character")
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def _jsonl(path: Path) -> Iterator[Row]:
    for n, line in enumerate(_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            cells = json.loads(line, parse_constant=_refuse)  # keeps numbers of any length whole
        except ValueError as error:
            raise MootError(f"{path}:{n}: not JSON: {error}") from None
        if not isinstance(cells, dict):
            raise MootError(f"{path}:{n}: expected an object, found {line.strip()[:40]}")
        yield f"{path}:{n}", cells


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _csv(path: Path) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    line = 1
    try:
        columns = next(reader, [])
        for mark, name in ((";", "semicolons"), ("\t", "tabs")):
            if len(columns) == 1 and mark in columns[0]:
                raise MootError(f"{path}:1: is separated by {name}; expected commas")
        if twice := sorted({column for column in columns if columns.count(column) > 1}):
            raise MootError(f"{path}:1: two columns are called {twice[0]!r}")
        line = reader.line_num + 1
        for cells in reader:
            if cells and len(cells) != len(columns):
                raise MootError(
                    f"{path}:{line}: {len(cells)} cells for {len(columns)} columns "
                    f"({', '.join(columns)})"
                )
            if cells:
                yield f"{path}:{line}", dict(zip(columns, cells, strict=True))
            line = reader.line_num + 1
    except csv.Error as error:
        raise MootError(f"{path}:{line}: {error}") from None


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow as pa

    from moot.training.data import parquet

    try:
        with path.open("rb") as file, parquet.opened(file) as table:
            for n, cells in enumerate(parquet.rows(table), 1):
                yield f"{path}: row {n}", cells
    except pa.ArrowException as error:
        raise MootError(f"{path}: not Parquet: {str(error).partition('.')[0]}") from None


def _text(path: Path) -> str:
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise MootError(f"{path}:{line}: not UTF-8 (byte {content[error.start]:#04x})") from None


def _near_file(path: Path) -> str:
    there = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    return near(path.name, there, show=False)


READERS: Mapping[str, Callable[[Path], Iterator[Row]]] = {
    ".jsonl": _jsonl,
    ".csv": _csv,
    ".parquet": _parquet,
}
