"""The end of a run: what comes after its last cycle, and comes again where cycles are added."""

import shutil
from pathlib import Path

from moot.protocols.journal import Journal

from .store import write_metrics

RUN, CONTROLS, BASELINE = "run", "controls", "baseline"
"""Marks in the journal; the latter two are played, and measured by these names."""


def reopen(out: Path, journal: Path) -> None:
    """Forget the end of the run in `out`, so that it goes on; what was said stays in its journal.

    Killed at any moment, it leaves a run that plays its end again.
    """
    with Journal(journal) as opened:
        opened.forget(RUN, CONTROLS, BASELINE)
        write_metrics(out / "metrics.parquet", opened.metrics())
    for folder in (*out.glob(f"{CONTROLS}-*"), out / BASELINE):
        shutil.rmtree(folder, ignore_errors=True)
