"""Jobs on several processes: torchrun starts the workers, and what they tell is passed on.

They are started for the first job, and hold the base model between it and the next.  A line on
their standard input names the next job's folder, and an empty one says `go on`: a step is the past,
with its checkpoint, only when whoever asked for it asks for the next, as in one process.  They end
when this process does, however it ends, since only it holds the other end of that pipe.
"""

import json
import os
import re
import signal
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from subprocess import PIPE, Popen, TimeoutExpired
from typing import IO, Any

from moot.agents.errors import MootError
from moot.agents.gpus import visible

from .data.examples import Example, Rollout
from .data.filed import Filed, write
from .job import Do, Done, Job, Step

JOB, LESSONS = "job.json", "lessons.parquet"
"""What lies in a job's folder, beside its checkpoints."""
LOG = "workers.log"
"""What lies in the workers' folder."""
STARTED: list[Popen[str]] = []
"""What torchrun is running."""
SPARED_S = 20
"""Torchrun kills who hasn't ended by itself within 30 s of another's failure."""
Pipes = tuple[IO[str], IO[str]]
"""Where workers tell, and where they are told."""


@contextmanager
def launched(folder: Path) -> Generator[Do]:
    """Yield what has jobs that share a base model done by `fit.processes` workers.

    After this the workers have ended.  Where a job fails they have ended too, and do no other.

    Args:
        folder: where their log goes.

    Raises:
        MootError: as a worker raised it; or a worker was killed, or failed: where its log lies.
    """
    with ExitStack() as stack:
        pipes: Pipes | None = None

        def do(job: Job, examples: Sequence[Example]) -> Generator[Step, None, Done]:
            nonlocal pipes
            write(job.folder / LESSONS, examples)
            (job.folder / JOB).write_text(job.model_dump_json())
            if pipes is None:
                pipes = stack.enter_context(_workers(job, folder))
            else:
                _say(pipes[1], json.dumps(str(job.folder)))
            done = yield from _passed_on(*pipes)
            if isinstance(done, Done):
                return done
            raise MootError(_ended(job.fit.processes, folder / LOG, done))

        yield do


def stop() -> None:
    """End all workers at once, and so the wait of a thread for what hung ones will never tell."""
    for process in STARTED:
        _kill(process)


def _passed_on(told: IO[str], tell: IO[str]) -> Generator[Step, None, Done | str | None]:
    """Pass on what workers tell of a job; return what came of it, or what they said as they failed.

    Raises:
        MootError: as a worker raised it.
    """
    failed: str | None = None
    for word in _words(told):
        if "step" in word:
            yield word["step"], word["metrics"]
            _say(tell, "")
        elif "error" in word:
            raise MootError(word["error"])
        elif "done" in word:
            found = Filed(Path(word["done"]))
            return Done(list(found) if found.kind is Rollout else found, word["moved"])
        else:
            failed = failed or word["failed"]
    return failed


def _say(tell: IO[str], line: str) -> None:
    with suppress(BrokenPipeError):  # all have ended, and what they tell ends too
        os.write(tell.fileno(), f"{line}\n".encode())


@contextmanager
def _workers(job: Job, folder: Path) -> Generator[Pipes]:
    """Start workers on a job; after this they have ended."""
    folder.mkdir(parents=True, exist_ok=True)
    module = ["-m", "moot.training.worker", str(job.folder)]
    # By default the workers look for each other by the host's name, which may not resolve.
    torchrun = ["--standalone", "--local-addr", "127.0.0.1"]
    number = ["--nproc-per-node", str(job.fit.processes)]
    logs = ["--log-dir", str(folder / "torchrun")]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = max(1, (cores or 1) // job.fit.processes)
    # What is in the folder that moot is run in isn't imported.
    settings = {"OMP_NUM_THREADS": str(threads), **os.environ, "PYTHONSAFEPATH": "1"}
    settings |= visible(job.fit.gpus) if job.fit.gpus else {}
    with (
        (folder / LOG).open("w") as log,
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
        STARTED.append(process)
        try:
            yield process.stdout, process.stdin
        finally:
            STARTED.remove(process)
            process.stdin.close()  # the workers end
            try:
                process.wait(10)
            except TimeoutExpired:
                _kill(process)


def _kill(torchrun: Popen[str]) -> None:
    """Kill torchrun, and the workers first: one that is stopped would outlive it, and hold memory.

    Which they are the system tells (Linux) while it is there to tell of.
    """
    children = Path(f"/proc/{torchrun.pid}/task/{torchrun.pid}/children")
    with suppress(OSError):
        for pid in map(int, children.read_text().split()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    torchrun.kill()


def _words(lines: IO[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        if line.startswith("{"):
            yield json.loads(line)


def _ended(processes: int, log: Path, failed: str | None) -> str:
    """Return how workers ended that never said they were done."""
    killers = _killers(log.read_text())
    if killers:
        why = f"was killed ({killers[0]})" + (
            ": out of memory, perhaps" if killers[0] == "SIGKILL" else ""
        )
    else:
        why = f"failed: {failed or 'it ended without a word'}"
    return (
        f"training: one of {processes} processes {why}; its checkpoints are kept, run "
        f"again to go on; the processes' log is {log}"
    )


def _killers(log: str) -> list[str]:
    """Return the signals that killed workers, but those that torchrun sent to who was left."""
    found = re.findall(r"^\s*time\s*: ([\d:_-]+)$.*?exitcode\s*: (-?\d+)", log, re.DOTALL | re.M)
    ends = [(datetime.strptime(at, "%Y-%m-%d_%H:%M:%S"), int(code)) for at, code in found]
    spared = timedelta(seconds=SPARED_S)
    return [
        signal.Signals(-code).name
        for at, code in ends
        if code < 0 and -code != signal.SIGTERM and at - min(ends)[0] < spared
    ]
