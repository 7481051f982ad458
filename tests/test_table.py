"""Tables of rows of any size: memory holds some of them at once, by their bytes."""

import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from moot.experiments.files.columns import PROMPT
from moot.experiments.files.table import write
from moot.experiments.report.readings import rows

COLUMNS = pa.schema([("n", pa.int32()), ("ids", pa.list_(pa.int32())), ("prompt", PROMPT)])


def row(n: int, ids: int = 0, letters: int = 0) -> dict[str, Any]:
    said = {"role": "user", "content": "x" * letters}
    return {"n": n, "ids": [5000] * ids, "prompt": [said]}


@pytest.mark.parametrize(
    ("large", "held"),
    [({}, [5]), ({"ids": 2**20}, [2, 2, 1]), ({"letters": 2**25}, [2, 2, 1])],
    ids=["small", "ids", "texts"],
)
def test_large_rows_are_written_before_many_are_held(
    large: dict[str, int], held: list[int], tmp_path: Path
) -> None:
    """Two rows of 32 MiB come to what is held at most."""
    one = row(0, **large)
    there = [{**one, "n": n} for n in range(5)]

    write(tmp_path / "t.parquet", COLUMNS, there)

    said = pq.read_metadata(tmp_path / "t.parquet")
    assert [said.row_group(i).num_rows for i in range(said.num_row_groups)] == held
    assert list(rows(tmp_path / "t.parquet")) == there


def test_few_rows_are_made_pythons_own_at_once(tmp_path: Path) -> None:
    """All 500 of 2,000 numbers would be 36 MB."""
    write(tmp_path / "t.parquet", COLUMNS, (row(n, ids=2000) for n in range(500)))

    tracemalloc.start()
    try:
        first = next(rows(tmp_path / "t.parquet"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert (first["n"], len(first["ids"])) == (0, 2000)
    assert peak < 2**23
