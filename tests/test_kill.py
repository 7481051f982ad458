"""Killed at any moment, nothing is lost or doubled.

`moot run` is killed with SIGKILL at 24 points spread evenly over what it writes to its journal (so
over talk, training, swaps and evaluations of all cycles), four times in each of six directories,
and resumed each time; in a seventh it is interrupted, as by Ctrl-C, and in an eighth ended as a
scheduler does.  In the end every directory holds what an undisturbed run holds.

Run as a script this file is the killer: it imports torch once and forks, so that each of the forty
runs starts at once.  It starts no thread before it forks.
"""

import importlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

KILLS, DIRECTORIES, INTERRUPTS = 24, 6, 4

EXPERIMENT = """\
name: killed
seed: 3
cycles: 2
engines:
  main: {{kind: scripted, lines: ["1", "2", "it is 3", "?"], model: {model}, latency_s: 0.002}}
population:
  - {{name: solver, role: policy, count: 4, learns: true}}
tasks:
  kind: inline
  verifier: number
  held_out: 6
  per_cycle: 8
  items: [{items}]
protocol: {{kind: synthesis}}
method: {{kind: cat, objective: {{kl: 0.1}}}}
fit: {{lr: 1.0e-2, groups: 2, device: cpu, lora: {{rank: 4}}}}
evaluation: {{samples: 3, baseline_votes: 4}}
stage: {{open_episodes: 3}}
"""


def run(experiment: Path, out: Path, log: Path) -> int:
    """Fork; the child runs `moot run` and logs what its engine is asked.  Return its pid."""
    if pid := os.fork():
        return pid
    from moot.agents.scripted import ScriptedEngine
    from moot.agents.types import Completion, Request
    from moot.experiments.main import main
    from moot.protocols.journal import digest

    generate = ScriptedEngine.generate

    async def logged(self: ScriptedEngine, request: Request) -> Completion:
        with log.open("a") as file:
            file.write(digest(request) + "\n")
        return await generate(self, request)

    ScriptedEngine.generate = logged
    code = 70
    background = log.stem == "ended-0"  # of a script: there SIGINT is ignored
    signal.signal(signal.SIGINT, signal.SIG_IGN if background else signal.default_int_handler)
    try:
        os.dup2(os.open(log.with_suffix(".out"), os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
        os.dup2(1, 2)
        main(["run", str(experiment), "--out", str(out)])
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    finally:
        sys.stdout.flush()
        os._exit(code)


def written(out: Path) -> int:
    """Return how much the journal holds."""
    tables = ("said", "metrics", "done")
    return sum(count(out, f"select count(*) from {table}") for table in tables)


def count(out: Path, query: str) -> int:
    try:
        with closing(sqlite3.connect(f"file:{out}/journal.sqlite?mode=ro", uri=True)) as db:
            return db.execute(query).fetchone()[0]
    except sqlite3.OperationalError:  # not made yet
        return 0


def journalled(out: Path) -> set[str]:
    """Return the requests that were answered, canaries aside: those are asked at every swap."""
    with closing(sqlite3.connect(f"file:{out}/journal.sqlite?mode=ro", uri=True)) as db:
        query = "select request from said where episode not like 'canary/%'"
        return {row[0] for row in db.execute(query)}


def killer(root: Path) -> Iterator[dict[str, Any]]:
    """Run the experiment undisturbed, then killed over and over; say what happened."""
    for heavy in ("experiments.report.page", "experiments.run", "training.fit"):
        importlib.import_module(f"moot.{heavy}")  # before the forks, so that each is quick
    experiment = root / "killed.yaml"
    pid = run(experiment, root / "whole", root / "whole.log")
    yield {"out": "whole", "code": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}
    total = written(root / "whole")
    points = [total * (i + 0.5) / KILLS for i in range(KILLS)]
    for d in range(DIRECTORIES):
        yield from stopped(root, f"killed-{d}", signal.SIGKILL, points[d::DIRECTORIES], total)
    points = [total * (i + 0.5) / INTERRUPTS for i in range(INTERRUPTS)]
    yield from stopped(root, "interrupted", signal.SIGINT, points, total)
    points = [total * (i + 0.5) / 2 for i in range(2)]
    yield from stopped(root, "ended", signal.SIGTERM, points, total)


def stopped(
    root: Path, name: str, by: signal.Signals, points: list[float], total: int
) -> Iterator[dict[str, Any]]:
    """Run the experiment in the directory `name`, stopped at each point and gone on with."""
    out, known = root / name, set[str]()
    for turn, point in enumerate([*points, float("inf")]):
        log = root / f"{name}-{turn}.log"
        for file in (log, log.with_suffix(".out")):
            file.touch()  # it may be killed before it has any
        pid = run(root / "killed.yaml", out, log)
        while not (ended := os.waitpid(pid, os.WNOHANG))[0]:
            if written(out) >= point:
                os.kill(pid, by)
                ended = os.waitpid(pid, 0)
                break
            time.sleep(0.0005)
        asked = log.read_text().split()
        yield {
            "out": name,
            "code": os.waitstatus_to_exitcode(ended[1]),
            "stopped at": written(out) / total,
            "asked twice": len(asked) - len(set(asked)),
            "asked though known": len(set(asked) & known),
            "said": log.with_suffix(".out").read_text().splitlines()[-1:],
        }
        known = journalled(out)


def files(out: Path) -> dict[str, Any]:
    """Return all that a run's directory holds but times."""
    found: dict[str, Any] = {}
    for path in sorted(out.rglob("*.parquet")):
        rows = pq.read_table(path).to_pylist()
        same = {"latency_s": 0, "ended_s": 0, "seconds": 0}
        found[str(path.relative_to(out))] = [{**row, **same} for row in rows]
    for path in sorted(out.rglob("*.safetensors")):
        found[str(path.relative_to(out))] = path.read_bytes()
    return found


@pytest.fixture(scope="module")
def root(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("kill")
    items = ", ".join(
        f'{{prompt: "{a} + {b}?", answer: "{a + b}"}}' for a in range(5) for b in range(4)
    )
    (root / "killed.yaml").write_text(EXPERIMENT.format(model=tiny, items=items))
    return root


@pytest.fixture(scope="module")
def told(root: Path) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, __file__, str(root)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_run_was_killed_where_it_was_meant_to_be_and_ended_well(
    told: list[dict[str, Any]],
) -> None:
    codes = [one["code"] for one in told]

    assert codes.count(-signal.SIGKILL) >= 20
    assert codes.count(130) == INTERRUPTS
    assert codes.count(0) == DIRECTORIES + 3
    assert set(codes) == {0, 130, 143, -signal.SIGKILL}
    shares = sorted(one["stopped at"] for one in told if one["code"])
    assert shares[0] < 0.1
    assert shares[-1] > 0.9


@pytest.mark.parametrize(("name", "code"), [("interrupted", 130), ("ended", 143)])
def test_an_interrupted_run_says_how_to_go_on(
    told: list[dict[str, Any]], root: Path, name: str, code: int
) -> None:
    [again] = {line for one in told if one["code"] == code for line in one["said"]}

    out = root / name
    assert again == (
        f"moot: interrupted; nothing is lost. To go on: moot run {root}/killed.yaml --out {out}"
    )


def test_nothing_that_was_answered_is_asked_again(told: list[dict[str, Any]]) -> None:
    assert [one for one in told[1:] if one["asked twice"] or one["asked though known"]] == []


@pytest.mark.parametrize(
    "name", ["interrupted", "ended", *(f"killed-{d}" for d in range(DIRECTORIES))]
)
def test_what_is_left_is_what_an_undisturbed_run_leaves(
    told: list[dict[str, Any]], root: Path, name: str
) -> None:
    whole, killed = files(root / "whole"), files(root / name)

    assert told
    assert list(killed) == list(whole)
    for file in whole:
        assert killed[file] == whole[file], file


if __name__ == "__main__":
    for line in killer(Path(sys.argv[1])):
        print(json.dumps(line), flush=True)
