"""The rows of a file that a user has: Parquet or JSON Lines, one example each."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from moot.agents.errors import InputError

from . import parquet
from .examples import Pair, Shown

Row = Mapping[str, Any]
E = TypeVar("E", Pair, Shown)


def read(path: Path, what: str, made: Callable[[Row, str], E]) -> Iterator[E]:
    """Yield what is made of each row of a Parquet or JSON Lines file, and of the row's own name.

    Raises:
        InputError: the file can't be read or holds nothing of `what` it should, or a row is not as
            it should be, of which `made` raises a `ValueError`.
    """
    number = 0
    try:
        for number, record in enumerate(
            _parquet(path) if path.suffix == ".parquet" else _lines(path), start=1
        ):
            yield _made(path, number, record, made)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except ValueError as error:
        raise InputError(f"{path}: can't be read: {error}") from None
    if not number:
        raise InputError(f"{path}: no {what} in it: expected a row for each")


def _parquet(path: Path) -> Iterator[Any]:
    with path.open("rb") as opened, parquet.opened(opened) as file:
        yield from parquet.rows(file)


def _lines(path: Path) -> Iterator[Any]:
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    yield json.loads(line)
                except json.JSONDecodeError as error:
                    raise ValueError(f"line {number} is no JSON: {error}") from None


def _made(path: Path, number: int, record: Any, made: Callable[[Row, str], E]) -> E:
    try:
        if not isinstance(record, Mapping):
            raise ValueError(f"expected a mapping, got {type(record).__name__}")
        return made(cast(Row, record), f"{path.name}/{number}")
    except ValueError as error:
        raise InputError(f"{path}: row {number}: {error}") from None
