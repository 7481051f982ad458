"""One of the processes that do a job: `torchrun --nproc-per-node N -m moot.training.worker FOLDER`.

It reads FOLDER/job.json and FOLDER/lessons.parquet, and tells, a JSON object a line on the standard
output: `{"step": 3, "metrics": {...}}` for each step; at the end `{"done": FILE, "moved": true}`
with where the graded examples lie; `{"error": TEXT}` for what the user can mend, and
`{"failed": TEXT}` for what is a bug, or follows from another process's end.  Where its standard
input is a pipe, it reads a byte of it before it goes on after a step, and ends when that closes.
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

from moot.agents.errors import MootError, in_one_line

from .data.filed import Filed, write
from .job import Job
from .launch import JOB, LESSONS

Tell = Callable[[dict[str, Any]], None]
GRADED = "graded.parquet"


def main(folder: Path) -> int:
    """Do the job in `folder` with the others, and return the exit status."""
    _end_with_the_parent()
    tell = _teller()
    try:
        _work(folder, tell)
    except MootError as error:
        tell({"error": str(error)})
        return 1
    except Exception as error:
        traceback.print_exc()
        tell({"failed": f"{type(error).__name__}: {in_one_line(error)}"})
        return 1
    return 0


def _work(folder: Path, tell: Tell) -> None:
    from . import world
    from .study import study

    job = Job.model_validate_json((folder / JOB).read_text())
    with world.joined(job.fit.device):
        steps = study(job, Filed(folder / LESSONS))
        while True:
            try:
                step, metrics = next(steps)
            except StopIteration as end:
                done = end.value
                break
            if world.leads():
                tell({"step": step, "metrics": metrics})
                if _piped() and not os.read(0, 1):
                    os._exit(1)
        if world.leads():
            examples = done.examples
            if not isinstance(examples, Filed):
                write(folder / GRADED, examples)
                examples = Filed(folder / GRADED)
            tell({"done": str(examples.path), "moved": done.moved})


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
    sys.exit(main(Path(sys.argv[1])))
