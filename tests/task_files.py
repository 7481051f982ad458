"""Files of tasks, in every format."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from moot.agents.task import Task
from moot.experiments.tasks.split import task
from moot.experiments.tasks.table import File
from moot.protocols.verifiers import VERIFIERS

CONFIGS = Path(__file__).parent.parent / "experiments" / "configs"
SUMS: list[dict[str, Any]] = [
    {"prompt": f"What is {a} + {b}?", "answer": str(a + b)} for a in range(10) for b in range(10)
]


def as_task(row: dict[str, Any]) -> Task:
    return task(row["prompt"], row["answer"], VERIFIERS["number"], "{prompt}")


def write_jsonl(path: Path, found: list[dict[str, Any]]) -> None:
    path.write_text("\n".join(json.dumps(row) for row in found))


def write_csv(path: Path, found: list[dict[str, Any]]) -> None:
    lines = [[*found[0]], *([f'"{cell}"' for cell in row.values()] for row in found)]
    path.write_text("\n".join(",".join(line) for line in lines))


def write_parquet(path: Path, found: list[dict[str, Any]]) -> None:
    pq.write_table(pa.Table.from_pylist(found), path)


Write = Callable[[Path, list[dict[str, Any]]], None]
WRITERS: dict[str, Write] = {"jsonl": write_jsonl, "csv": write_csv, "parquet": write_parquet}


def bad(path: Path, **fields: Any) -> File:
    return File(path=str(path), verifier="number", **fields)
