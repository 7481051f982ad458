"""Workers under torchrun: their words are passed on, and no end of any process is the end of it.

Each start of torchrun takes seconds, so that one job goes through all that may happen to it.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import several_processes as jobs
import torch

from moot.agents.errors import MootError
from moot.training.checkpoint import read
from moot.training.job import BEFORE, Job
from moot.training.launch import JOB, launch
from moot.training.study import study

PARENT = """\
import sys
from pathlib import Path
import several_processes as jobs
from moot.training.job import Job
from moot.training.launch import launch

for step, _ in launch(Job.model_validate_json(Path(sys.argv[1]).read_text()), jobs.ROLLOUTS):
    print(step, flush=True)  # -1 is before all
"""


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One thread in every process, this one too: in others the same sums are rounded otherwise."""
    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def job(tiny: Path, folder: Path, processes: int, epochs: int = 10) -> Job:
    return jobs.job("cat", tiny, folder, processes=processes, epochs=epochs)


def started(folder: Path) -> dict[int, str]:
    """The processes that work in the folder, and how each was called."""
    found: dict[int, str] = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            called = path.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if f"moot.training.worker {folder}" in called:
            found[int(path.parent.name)] = called
    return found


def gone(folder: Path) -> bool:
    end = time.monotonic() + 20
    while started(folder) and time.monotonic() < end:
        time.sleep(0.05)
    return not started(folder)


def test_what_is_killed_goes_on_and_ends_where_one_process_does(tiny: Path, tmp_path: Path) -> None:
    alone, wanted = jobs.taken(study(job(tiny, tmp_path / "one", 1), jobs.ROLLOUTS))
    shared = job(tiny, tmp_path / "two", 2)
    folder = shared.folder

    # The parent is killed: so are the workers.
    (tmp_path / "job.json").write_text(shared.model_dump_json())
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "job.json")],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    ) as parent:
        assert parent.stdout is not None
        assert [parent.stdout.readline() for _ in range(4)] == [b"-1\n", b"0\n", b"1\n", b"2\n"]
        assert len(started(folder)) == 3
        parent.kill()
        told = [2, *map(int, parent.stdout.read().split())]
    assert gone(folder)

    # A worker is killed: the others end, and it is told.
    steps = launch(shared, jobs.ROLLOUTS)
    assert next(steps)[0] == BEFORE
    before, _ = next(steps)
    assert before - told[-1] in (0, 1)  # no step is the past that nobody was told of
    workers = [pid for pid, how in started(folder).items() if "torch.distributed.run" not in how]
    assert len(workers) == 2
    os.kill(max(workers), signal.SIGKILL)
    with pytest.raises(MootError, match=r"one of 2 processes was killed \(SIGKILL\).* run again"):
        list(steps)
    assert not started(folder)

    rest, found = jobs.taken(launch(shared, jobs.ROLLOUTS))
    assert rest[0][0] == before  # it had been told, and nobody had asked for the next
    assert rest[-1][0] == alone[-1][0] == 29
    for (_, metrics), (_, same) in zip(rest, alone[-len(rest) :], strict=True):
        assert metrics == pytest.approx(same, rel=1e-3, abs=1e-4)
    assert found.moved
    assert list(found.examples) == list(wanted.examples)
    [one], [two] = ((tmp_path / n).glob("step-*") for n in ("one", "two"))
    assert one.name == two.name
    for name, tensor in read(one).weights.items():
        torch.testing.assert_close(read(two).weights[name], tensor, rtol=0, atol=1e-5)


def test_a_worker_that_waits_for_another_ends_with_who_started_it(
    tiny: Path, tmp_path: Path
) -> None:
    (tmp_path / JOB).write_text(job(tiny, tmp_path, 2).model_dump_json())
    first = {"RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    with subprocess.Popen(
        [sys.executable, "-m", "moot.training.worker", str(tmp_path)],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **first, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"},
    ) as worker:
        assert worker.stdin is not None
        assert worker.stderr is not None
        worker.stdin.close()
        try:
            assert worker.wait(200) == 1
            assert b"Error" not in worker.stderr.read()
        finally:
            worker.kill()


def test_what_a_worker_raises_is_raised(tiny: Path, tmp_path: Path) -> None:
    bad = [replace(one, reward=one.reward and float("inf")) for one in jobs.ROLLOUTS]
    texts: list[str] = []
    for processes in (1, 2):
        training = job(tiny, tmp_path / str(processes), processes, epochs=1)
        with pytest.raises(MootError, match="isn't finite") as caught:
            list((study if processes == 1 else launch)(training, bad))
        texts.append(str(caught.value))

    assert texts[0] == texts[1]
    assert not started(tmp_path)
    assert not list(tmp_path.glob("*/step-*"))
