"""Parquet files: what is read of one is held a little at a time, however large it is."""

import base64
import random
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from moot.training.data.filed import write
from moot.training.data.preferences import read

if not Path("/proc/self/status").exists():
    pytest.skip("what a process held at most isn't told here", allow_module_level=True)

READ = """\
import sys
from pathlib import Path

from moot.experiments.report.readings import rows
from moot.experiments.tasks.rows import rows as tasks
from moot.training.data.filed import Filed
from moot.training.data.preferences import read

given, filed = map(Path, sys.argv[1:])
for read_all, path in ((read, given), (Filed, filed), (rows, given), (tasks, given)):
    for _ in read_all(path):
        pass
    # Not what getrusage says: that of a child begins with its parent's.
    peak = Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]
    print(int(peak) / 1000)
"""
SIDE = 2000
"""Characters of a prompt and of each reply, of which no compression makes less."""


def text(source: random.Random) -> str:
    return base64.b64encode(source.randbytes(SIDE * 3 // 4)).decode()


def peaks(folder: Path, count: int) -> list[float]:
    """The most MB held once each reader has read so many preferences."""
    source, given, filed = random.Random(0), folder / "given.parquet", folder / "filed.parquet"
    columns = {name: [text(source) for _ in range(count)] for name in ("prompt", "chosen")}
    pq.write_table(pa.table({**columns, "rejected": columns["prompt"]}), given)
    write(filed, read(given))
    command = [sys.executable, "-c", READ, str(given), str(filed)]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    return list(map(float, told.stdout.split()))


def test_a_large_file_takes_the_memory_of_a_small_one(tmp_path: Path) -> None:
    few, many = 2000, 10_000

    small, large = peaks(tmp_path, few), peaks(tmp_path, many)

    more = (many - few) * 3 * SIDE / 1e6
    assert [b - a < more / 2 for a, b in zip(small, large, strict=True)] == [True] * 4
