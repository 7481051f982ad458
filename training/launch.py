"""A job on several processes: torchrun starts the workers, and what they tell is passed on.

What is written to their standard input says `go on`: a step is the past, with its checkpoint, only
when whoever asked for it asks for the next, as in one process.  They end when this process does,
however it ends, since only it holds the other end of that pipe.
"""

import json
import os
import re
import signal
import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import PIPE, Popen, TimeoutExpired
from typing import IO, Any

from moot.agents.errors import MootError
from moot.agents.gpus import visible

from .data.examples import Example, Rollout
from .data.filed import Filed, write
from .job import Done, Job, Step

JOB, LESSONS, LOG = "job.json", "lessons.parquet", "workers.log"
"""What lies in a job's folder, beside its checkpoints."""


def launch(job: Job, examples: Iterable[Example]) -> Generator[Step, None, Done]:
    """Have the job done by `job.fit.processes` workers, yielding each step as it is taken.

    Raises:
        MootError: as a worker raised it; or a worker was killed, or failed: where its log lies.
    """
    write(job.folder / LESSONS, examples)
    (job.folder / JOB).write_text(job.model_dump_json())
    failed: str | None = None
    with _workers(job) as (told, tell):
        for word in _words(told):
            if "step" in word:
                yield word["step"], word["metrics"]
                with suppress(BrokenPipeError):  # all have ended: the loop does too
                    os.write(tell.fileno(), b"\n")
            elif "error" in word:
                raise MootError(word["error"])
            elif "done" in word:
                found = Filed(Path(word["done"]))
                return Done(list(found) if found.kind is Rollout else found, word["moved"])
            else:
                failed = failed or word["failed"]
    raise MootError(_ended(job, failed))


@contextmanager
def _workers(job: Job) -> Generator[tuple[IO[str], IO[str]]]:
    """Yield where the workers tell and are told, until they have ended; after this they have."""
    module = ["-m", "moot.training.worker", str(job.folder)]
    # By default the workers look for each other by the host's name, which may not resolve.
    torchrun = ["--standalone", "--local-addr", "127.0.0.1"]
    number = ["--nproc-per-node", str(job.fit.processes)]
    logs = ["--log-dir", str(job.folder / "torchrun")]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = max(1, (cores or 1) // job.fit.processes)
    # What is in the folder that moot is run in isn't imported.
    settings = {"OMP_NUM_THREADS": str(threads), **os.environ, "PYTHONSAFEPATH": "1"}
    settings |= visible(job.fit.gpus) if job.fit.gpus else {}
    with (
        (job.folder / LOG).open("w") as log,
        Popen(
            [sys.executable, "-m", "torch.distributed.run", *torchrun, *number, *logs, *module],
            stdin=PIPE,
            stdout=PIPE,
            stderr=log,
            env=settings,
            text=True,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout, process.stdin
        finally:
            process.stdin.close()  # the workers end
            with suppress(TimeoutExpired):
                process.wait(10)
            process.kill()


def _words(lines: IO[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        if line.startswith("{"):
            yield json.loads(line)


def _ended(job: Job, failed: str | None) -> str:
    """Return how workers ended that never said they were done."""
    log = job.folder / LOG
    codes = [int(code) for code in re.findall(r"exitcode\s*: (-\d+)", log.read_text())]
    killers = [signal.Signals(-code).name for code in codes if -code != signal.SIGTERM]
    if killers:
        why = f"was killed ({killers[0]})" + (
            ": out of memory, perhaps" if killers[0] == "SIGKILL" else ""
        )
    else:
        why = f"failed: {failed or 'it ended without a word'}"
    return (
        f"training: one of {job.fit.processes} processes {why}; its checkpoints are kept, run "
        f"again to go on; the processes' log is {log}"
    )
