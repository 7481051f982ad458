"""Parquet files of any size, read so that memory holds little of them at once."""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow.parquet as pq

ROWS = 512
"""Read at once."""
TOLD = 32
"""Of these, made Python's own at once: a list of numbers is nine times as large there."""
BUFFER = 2**20
"""Bytes of a column, as they lie in the file, that are."""


def opened(source: Any) -> Any:
    """Return the Parquet file at a path, or in an open file, to be read as it is asked for.

    Left to itself pyarrow fetches what all row groups hold before it yields a row.
    """
    return pq.ParquetFile(source, pre_buffer=False, buffer_size=BUFFER)


def rows(file: Any, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """Yield the rows of an opened file, of all columns or of some."""
    for batch in file.iter_batches(ROWS, columns=None if columns is None else list(columns)):
        for at in range(0, batch.num_rows, TOLD):
            yield from batch.slice(at, TOLD).to_pylist()
