"""One of the processes that do jobs: `torchrun --nproc-per-node N -m moot.training.worker FOLDER`.

It reads FOLDER/job.json and FOLDER/lessons.parquet, and tells, a JSON object a line on the standard
output: `{"step": 3, "metrics": {...}}` for each step; at the end `{"done": FILE, "moved": true}`
with where the graded examples lie; `{"error": TEXT}` for what the user can mend, and
`{"failed": TEXT}` for what is a bug, or follows from another process's end.  Where its standard
input is a pipe, it reads a line of it before it goes on after a step, and after a job one with the
next job's folder, as JSON; it holds the base model meanwhile, and ends when the pipe closes.
"""

import json
import os
import select
import stat
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from moot.agents.errors import MootError, with_type

from .data.filed import Filed, write
from .job import Do, Done, Job
from .launch import JOB, LESSONS

Tell = Callable[[dict[str, Any]], None]
GRADED = "graded.parquet"


def main(folder: Path) -> None:
    """Do the job in `folder` and those that follow with the others; where one fails, end with 1."""
    _end_with_the_parent()
    tell = _teller()
    try:
        _work(folder, tell)
    except MootError as error:
        tell({"error": str(error)})
    except Exception as error:
        traceback.print_exc()
        tell({"failed": with_type(error)})
    else:
        return
    os._exit(1)  # at once: what would be tidied up may wait for the others, who wait for this one


def _work(folder: Path, tell: Tell) -> None:
    from . import world
    from .study import in_turn

    do, job = in_turn(), _job(folder)
    with world.joined(job.fit.device):
        while True:
            _one(do, job, tell)
            following = world.led(_following)
            if following is None:
                return
            job = _job(following)


def _job(folder: Path) -> Job:
    return Job.model_validate_json((folder / JOB).read_text())


def _one(do: Do, job: Job, tell: Tell) -> None:
    """Do a job, and tell of its steps and its end where this process leads."""
    from . import world

    steps = do(job, Filed(job.folder / LESSONS))
    while True:
        try:
            step, metrics = next(steps)
        except StopIteration as end:
            done: Done = end.value
            break
        if world.leads():
            tell({"step": step, "metrics": metrics})
            if _piped():
                _line()
    if world.leads():
        examples = done.examples
        if not isinstance(examples, Filed):
            write(job.folder / GRADED, examples)
            examples = Filed(job.folder / GRADED)
        tell({"done": str(examples.path), "moved": done.moved})


def _following() -> Path | None:
    """Return the folder of the next job; `None`: nobody is there to name one."""
    return Path(json.loads(_line())) if _piped() else None


def _line() -> bytes:
    """Return the next line of the standard input, or end this process where that has ended."""
    with open(0, "rb", buffering=0, closefd=False) as told:  # no more of it than the line
        return told.readline() or os._exit(1)


def _teller() -> Tell:
    """Return what writes to the standard output, which nothing else does from now on."""
    out = os.dup(1)
    os.dup2(2, 1)

    def tell(word: dict[str, Any]) -> None:
        os.write(out, f"{json.dumps(word)}\n".encode())  # one call: lines of processes don't mix

    return tell


def _end_with_the_parent() -> None:
    """End this process when the one that holds the other end of the standard input has ended."""

    def wait() -> None:
        ended = select.poll()
        ended.register(0, 0)  # for its end alone: what is in it, the process that leads reads
        ended.poll()
        os._exit(1)

    if _piped():
        threading.Thread(target=wait, daemon=True).start()


def _piped() -> bool:
    return stat.S_ISFIFO(os.fstat(0).st_mode)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
