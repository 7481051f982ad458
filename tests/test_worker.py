"""Workers under torchrun: their words are passed on, and no end of any process is the end of it.

Each start of torchrun takes seconds, so that one job goes through all that may happen to it.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import several_processes as jobs
import torch
from workers import gone, launch, started, working

from moot.agents.errors import MootError
from moot.training.checkpoint import read
from moot.training.job import BEFORE, Job
from moot.training.launch import JOB, LOG, launched
from moot.training.model.stored import tensors
from moot.training.study import in_turn, study

PARENT = """\
import sys
from pathlib import Path
import several_processes as jobs
from workers import launch
from moot.training.job import Job

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


def test_what_is_killed_goes_on_and_ends_where_one_process_does(tiny: Path, tmp_path: Path) -> None:
    alone, wanted = jobs.taken(study(job(tiny, tmp_path / "one", 1), jobs.ROLLOUTS))
    shared = job(tiny, tmp_path / "two", 2)
    folder = shared.folder

    # The parent is killed: so are the workers.
    (tmp_path / "job.json").write_text(shared.model_dump_json())
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "job.json")],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(Path(__file__).parent), *sys.path))},
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
    workers = working(folder)
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
    filed = tensors(two)
    for name, tensor in tensors(one).items():
        torch.testing.assert_close(filed[name], tensor, rtol=0, atol=1e-5)


@pytest.mark.parametrize("shard", [False, True])
def test_workers_hold_the_base_from_job_to_job_and_do_each_as_the_first(
    shard: bool, tiny: Path, tmp_path: Path
) -> None:
    base = Path(shutil.copytree(tiny, tmp_path / "base"))
    first, second, third = (
        jobs.job("cat", base, tmp_path / name, processes=2, shard=shard) for name in "123"
    )

    with launched(tmp_path / "logs") as do:
        wanted, found = jobs.taken(do(first, jobs.ROLLOUTS))
        workers = working(tmp_path)
        for file in base.glob("*.safetensors"):
            file.unlink()  # nobody can load it again
        again, same = jobs.taken(do(second, jobs.ROLLOUTS))
        assert working(tmp_path) == workers
        assert len(workers) == 2

        os.kill(max(workers), signal.SIGKILL)  # while they have nothing to do
        with pytest.raises(MootError, match=r"one of 2 processes was killed \(SIGKILL\)") as caught:
            list(do(third, jobs.ROLLOUTS))
    assert str(tmp_path / "logs" / LOG) in str(caught.value)
    assert not started(tmp_path)

    assert again == wanted
    assert (list(same.examples), same.moved) == (list(found.examples), True)
    [one], [two] = (job.folder.glob("step-*") for job in (first, second))
    assert read(two).step == read(one).step == 3
    filed = tensors(two)
    for name, tensor in tensors(one).items():
        assert torch.equal(filed[name], tensor), name


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


def test_what_a_worker_raises_is_raised_and_what_was_learnt_before_is_kept(
    tiny: Path, tmp_path: Path
) -> None:
    bad = [replace(one, reward=one.reward and float("inf")) for one in jobs.ROLLOUTS]
    texts: list[str] = []
    for processes in (1, 2):
        good, training = (
            job(tiny, tmp_path / f"{name}-{processes}", processes, epochs=1)
            for name in ("good", "bad")
        )
        with nullcontext(in_turn()) if processes == 1 else launched(tmp_path) as do:
            list(do(good, jobs.ROLLOUTS))
            with pytest.raises(MootError, match="isn't finite") as caught:
                list(do(training, bad))
        texts.append(str(caught.value))

    assert texts[0] == texts[1]
    assert not started(tmp_path)
    assert [file.parent.name for file in sorted(tmp_path.glob("*/step-*"))] == ["good-1", "good-2"]
