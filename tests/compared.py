"""Runs that are compared: of agents of known competence, and one whose answers were corrected."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

EXPERIMENT = """\
name: any
cycles: 1
engines:
  main: {kind: simulated, competence: 0.5}
population:
  - {name: solver, count: 3, engine: main}
tasks: {kind: simulated, options: 4, size: 90, held_out: 60, per_cycle: 10}
protocol: {kind: consensus}
evaluation: {controls: false, samples: 4}
"""


def correct(run: Path, tasks: int) -> None:
    """Have other answers be right to so many of a run's held-out tasks."""
    for path in run.glob("held-out-*/episodes.parquet"):
        episodes = pq.read_table(path)
        some = sorted({*episodes["task"].to_pylist()})[:tasks]
        rows = [
            row | {"expected": "E"} if row["task"] in some else row for row in episodes.to_pylist()
        ]
        pq.write_table(pa.Table.from_pylist(rows, schema=episodes.schema), path)
