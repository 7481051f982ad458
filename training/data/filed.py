"""Examples in a Parquet file: what another process is to learn, or what memory can't hold at once.

The columns are the fields of the records in `examples`, so that what is read is what was written;
no pickles.  A file is read a row group at a time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from itertools import chain, count, islice
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints, overload

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter

from . import parquet
from .examples import Example, Pair, Rollout, Shown

KINDS: dict[str, type[Example]] = {"Rollout": Rollout, "Pair": Pair, "Shown": Shown}
GROUP = 64
"""Examples in a row group: for one of them all are decoded, and of each group memory holds where
its columns lie."""
VERSION = "1"


@cache
def schema(kind: type[Example]) -> Any:
    """Return the columns of examples of a kind."""
    columns = [pa.field(name, hint) for name, hint in _fields(kind)]
    return pa.schema(columns, {"moot_examples": VERSION, "kind": kind.__name__})


def write(path: Path, examples: Iterable[Example]) -> None:
    """Write examples, of one kind, as they come; the file appears when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    rest = iter(examples)
    first = list(islice(rest, 1))
    columns = schema(type(first[0]) if first else Rollout)
    every = chain(first, rest)
    # Nobody asks for statistics, and in memory they would be most of a small group's outline.
    with pq.ParquetWriter(beside, columns, compression="zstd", write_statistics=False) as file:
        while some := [_plain(one) for one in islice(every, GROUP)]:
            file.write_table(pa.Table.from_pylist(some, schema=columns))
    beside.replace(path)


class Filed(Sequence[Example]):
    """The examples in a file.

    In memory are where each lies, its episode, and whether it teaches; beside that one row group,
    the last that was asked for.
    """

    def __init__(self, path: Path) -> None:
        """Read the outline of the file at `path`."""
        self.path = path
        self._file = parquet.opened(path)
        self.kind = KINDS[self._file.schema_arrow.metadata[b"kind"].decode()]
        self._reader: TypeAdapter[Example] = TypeAdapter(self.kind)
        lengths = [
            self._file.metadata.row_group(i).num_rows for i in range(self._file.num_row_groups)
        ]
        self._starts = [0]
        for length in lengths:
            self._starts.append(self._starts[-1] + length)
        outline = self._file.read(["episode", "teaches"])
        self.episodes: list[str] = outline["episode"].to_pylist()
        """Of each example."""
        self.teaches: list[bool] = outline["teaches"].to_pylist()
        """Whether each does."""
        self._held: tuple[int, Any] = (-1, None)

    def __len__(self) -> int:
        """Return how many examples there are."""
        return self._starts[-1]

    @overload
    def __getitem__(self, at: int) -> Example: ...
    @overload
    def __getitem__(self, at: slice) -> list[Example]: ...
    def __getitem__(self, at: int | slice) -> Example | list[Example]:
        """Return the example, or the examples, at a place."""
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        i = range(len(self))[at]
        group = bisect_right(self._starts, i) - 1
        if self._held[0] != group:
            self._held = (group, self._file.read_row_group(group))
        [found] = self._held[1].slice(i - self._starts[group], 1).to_pylist()
        return self._reader.validate_python(found)

    def __iter__(self) -> Iterator[Example]:
        """Yield all examples, in order."""
        for found in parquet.rows(self._file):
            yield self._reader.validate_python(found)


def keeper(folder: Path) -> Callable[[Iterable[Example]], Filed]:
    """Return what keeps examples, as they come, in a new file in `folder`.

    Of several processes, all of which see them all, the one that leads writes.
    """
    from .. import world

    numbers = count(1)

    def keep(examples: Iterable[Example]) -> Filed:
        path = folder / f"examples-{next(numbers)}.parquet"
        if world.leads():
            write(path, examples)
        else:
            deque(examples, maxlen=0)
        world.together()
        return Filed(path)

    return keep


def _fields(record: type[Any]) -> list[tuple[str, Any]]:
    hints = get_type_hints(record)
    return [(field.name, _arrow(hints[field.name])) for field in fields(record)]


def _arrow(hint: Any) -> Any:
    """Return the Arrow type of what a field of a record holds."""
    plain = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    if hint in plain:
        return plain[hint]
    if is_dataclass(hint):
        return pa.struct(_fields(cast(type[Any], hint)))
    origin, inner = get_origin(hint), [a for a in get_args(hint) if a not in (NoneType, ...)]
    if origin in (Union, UnionType) and len(inner) == 1:
        return _arrow(inner[0])
    if origin is tuple and len(set(inner)) == 1:
        return pa.list_(_arrow(inner[0]))
    if origin is Literal and all(isinstance(one, str) for one in inner):
        return pa.string()
    raise TypeError(f"no column can hold {hint}")


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        some = cast(tuple[Any, ...], value)
        return [_plain(one) for one in some] if some and is_dataclass(some[0]) else some
    return value
