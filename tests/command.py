"""The `moot` command as a user gives it, and what a run leaves behind."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from moot.experiments.main import main


def moot(*arguments: str | Path) -> int:
    """Return the exit code of a command."""
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    assert end.value.code is None or isinstance(end.value.code, int)
    return end.value.code or 0


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return what a command says, which ends well."""
    assert moot(*arguments) == 0
    return capsys.readouterr().out


def rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a Parquet file."""
    return pq.read_table(path).to_pylist()


def journalled(out: Path, phase: str = "") -> int:
    """Return how much was said in a phase, or in all, so far; the run may be going on."""
    query = "select count(*) from said where episode like ?"
    try:
        with closing(sqlite3.connect(f"file:{out / 'journal.sqlite'}?mode=ro", uri=True)) as db:
            return db.execute(query, (f"{phase}%",)).fetchone()[0]
    except sqlite3.Error:  # not made yet
        return 0
