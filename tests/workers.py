"""Workers that torchrun has started: which there are, and one job done by some of its own."""

import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from pathlib import Path

from moot.training.data.examples import Example
from moot.training.job import Done, Job, Step
from moot.training.launch import launched


def launch(job: Job, examples: Sequence[Example]) -> Generator[Step, None, Done]:
    """Have the job done by workers that do no other."""
    with launched(job.folder) as do:
        return (yield from do(job, examples))


def run(processes: int, script: str, *arguments: Path) -> None:
    """Have torchrun run a script in so many processes, to its end."""
    torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    done = subprocess.run(
        [sys.executable, "-m", *torchrun, script, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def started(folder: Path) -> dict[int, str]:
    """The processes that began with a job below the folder, and how each was called."""
    found: dict[int, str] = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            called = path.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if f"moot.training.worker {folder}" in called:
            found[int(path.parent.name)] = called
    return found


def working(folder: Path) -> set[int]:
    """Those of them that torchrun started."""
    return {pid for pid, how in started(folder).items() if "torch.distributed.run" not in how}


def gone(folder: Path) -> bool:
    end = time.monotonic() + 200  # torchrun itself takes its time on a busy machine
    while started(folder) and time.monotonic() < end:
        time.sleep(0.05)
    return not started(folder)
