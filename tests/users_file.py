"""A file of examples that a user has: a row a record, as Parquet or as JSON Lines."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def written(folder: Path, records: list[Any], name: str) -> Path:
    """Where the records lie now; the name says which kind of file it is."""
    path = folder / name
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(records), path)
    else:
        path.write_text("\n".join(map(json.dumps, records)))
    return path
