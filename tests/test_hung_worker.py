"""Workers that hang: they hold up nobody who ends, leave no process, and aren't called killed."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import several_processes as jobs
from workers import gone, launch, started, working

from moot.agents.errors import MootError
from moot.training.job import BEFORE
from moot.training.launch import _ended, stop  # pyright: ignore[reportPrivateUsage]

REPORT = """\
Failures:
[1]:
  time      : 2026-11-29_23:51:{late}
  rank      : 1 (local_rank: 1)
  exitcode  : -9 (pid: 12)  (SIGKILL)
------------------------------------------------------------
Root Cause (first observed failure):
[0]:
  time      : 2026-11-29_23:51:24
  rank      : 0 (local_rank: 0)
  exitcode  : 1 (pid: 11)
"""


@pytest.mark.parametrize("told", [True, False])
def test_a_worker_that_hangs_is_ended_with_the_others(
    told: bool, tiny: Path, tmp_path: Path
) -> None:
    """Where the run is to end, while a thread waits for a step; and where its steps are closed."""
    shared = jobs.job("cat", tiny, tmp_path / "two", processes=2, epochs=10)
    steps = launch(shared, jobs.ROLLOUTS)
    assert next(steps)[0] == BEFORE
    os.kill(max(working(shared.folder)), signal.SIGSTOP)

    if told:
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(next, steps)
            stop()
            with pytest.raises(MootError, match="its checkpoints are kept"):
                waiting.result()
    else:
        steps.close()

    assert gone(shared.folder), started(shared.folder)


@pytest.mark.parametrize(("late", "why"), [("54", "failed: Timed out"), ("25", "was killed")])
def test_who_is_killed_long_after_another_failed_is_not_what_went_wrong(
    late: str, why: str, tmp_path: Path
) -> None:
    (tmp_path / "log").write_text(REPORT.format(late=late))

    assert f"one of 2 processes {why}" in _ended(2, tmp_path / "log", "Timed out")
