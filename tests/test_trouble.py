"""Trouble during a run: it waits, tries again, or ends with one clear line; and it can go on."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest
from aiohttp import web
from command import moot
from fake_endpoint import Fake, half, hangs, refuses, reply, resets, says, serving

from moot.agents.errors import MootError
from moot.experiments.files.table import whole
from moot.experiments.yaml.loading import load

EXPERIMENT = """\
name: troubled
cycles: 1
engines:
  main:
    kind: endpoint
    url: {url}
    model: m
    limits: {{timeout_s: 0.5, patience_s: {patience}}}
population:
  - {{name: solver, count: 2}}
tasks:
  kind: inline
  verifier: number
  held_out: 3
  per_cycle: 4
  items: [{items}]
protocol: {{kind: consensus}}
evaluation: {{samples: 1, controls: false}}
stage: {{max_failed_episodes: {may_fail}}}
"""
CALLS = 4 * 2 + 2 * 3 * 2  # four tasks for two; two evaluations of three for two


def write(folder: Path, fake: Fake, patience: float = 60, may_fail: int = 0) -> Path:
    path = folder / "x.yaml"
    items = ", ".join(f"{{prompt: '{i} + 1?', answer: {i + 1}}}" for i in range(9))
    path.write_text(
        EXPERIMENT.format(url=fake.url, patience=patience, items=items, may_fail=may_fail)
    )
    return path


def turns(out: Path) -> list[dict[str, Any]]:
    found = [pq.read_table(path).to_pylist() for path in sorted(out.rglob("turns.parquet"))]
    told = {"latency_s": 0, "ended_s": 0, "tries": 0}
    return [{**row, **told} for rows in found for row in rows]


def keys(fake: Fake) -> list[bytes]:
    return [orjson.dumps(body) for body in fake.asked]


def test_a_server_that_misbehaves_in_every_way_changes_nothing(tmp_path: Path) -> None:
    calm, wild = Fake(), Fake()
    kinds = [refuses(500), refuses(429, Retry_After="1"), says(b'{"choi'), half, resets, hangs]
    wild.moods = [mood for one in kinds for mood in (one, says(reply()))]

    for fake, name in ((calm, "calm"), (wild, "wild")):
        with serving(fake):
            assert moot("run", write(tmp_path, fake), "--out", tmp_path / name) == 0

    assert len(calm.asked) == CALLS
    assert len(wild.asked) == CALLS + len(kinds)
    assert len(set(keys(wild))) == CALLS
    assert turns(tmp_path / "wild") == turns(tmp_path / "calm")


def test_a_server_that_goes_away_ends_the_run_and_the_same_command_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = Fake()
    down = [says(reply())] * 7 + [refuses(503, "going away")] * 1000
    with serving(fake):
        experiment = write(tmp_path, fake, patience=0.2)
        fake.moods = down
        assert moot("run", experiment, "--out", tmp_path / "out") == 1
        [line] = capsys.readouterr().err.splitlines()
        answered, fake.moods, fake.asked = set(keys(fake)[:7]), [], []

        assert moot("run", experiment, "--out", tmp_path / "out") == 0

    assert line.startswith("moot: ")
    assert "1 episode failed, 0 may (stage.max_failed_episodes)" in line
    assert line.endswith("/v1/chat/completions: HTTP 503: going away")
    assert len(fake.asked) == CALLS - 7
    assert not answered & set(keys(fake))


def test_what_wont_pass_ends_the_run_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = Fake()
    with serving(fake):
        experiment = write(tmp_path, fake)
        fake.moods = [refuses(401, "no such key")] * 1000
        assert moot("run", experiment, "--out", tmp_path / "out") == 1

    assert capsys.readouterr().err.splitlines() == [
        f"moot: {fake.url}/v1/chat/completions: HTTP 401: no such key "
        "(no key was sent: key_env names the environment variable that holds one)"
    ]


def test_a_run_that_was_refused_at_its_start_goes_on_as_it_is_mended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, other = tmp_path / "out", ("--set", "engines.main.model=n")
    with serving(fake := Fake()):
        experiment = write(tmp_path, fake)
        wrong = ("--set", "engines.main.key_env=MOOT_UNSET", *other)
        assert moot("run", experiment, "--out", out, *wrong) == 1
        assert moot("run", experiment, "--out", out) == 0
        assert moot("run", experiment, "--out", tmp_path / "calm") == 0
        assert moot("run", experiment, "--out", out, *other) == 2

    assert turns(out) == turns(tmp_path / "calm")
    assert "Differing: engines.main.model (m there, n here)" in capsys.readouterr().err


def test_so_many_episodes_may_fail_and_are_counted(tmp_path: Path) -> None:
    fake = Fake()

    async def unlucky(request: web.Request) -> web.StreamResponse:
        doomed = unfortunate in fake.asked[-1]["messages"][-1]["content"]
        return await (refuses(500) if doomed else says(reply()))(request)

    with serving(fake):
        experiment = write(tmp_path, fake, patience=0, may_fail=1)
        split = load(experiment)[1]
        unfortunate = split.train[0].prompt
        fake.moods = [unlucky] * 1000
        assert moot("run", experiment, "--set", "tasks.per_cycle=6", "--out", tmp_path / "r") == 0

    counted = pq.read_table(tmp_path / "r" / "metrics.parquet").to_pylist()
    [failed] = [m["value"] for m in counted if m["name"] == "talk/failed_episodes"]
    assert failed == 1
    assert len(pq.read_table(tmp_path / "r" / "cycle-000" / "episodes.parquet")) == 5


def test_a_full_disk_is_named_where_the_system_names_no_file(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this machine has no /dev/full")

    with (
        pytest.raises(MootError, match=f"^{path}: No space left on device; mend it and run again$"),
        whole(path),
        full.open("wb", buffering=0) as file,
    ):
        file.write(b"a")
    assert not list(tmp_path.iterdir())


SMALL_DISK = """\
set -e
mount -t tmpfs -o size={size}k tmpfs disk
{moot} run x.yaml --out disk/out 2> full.err && exit 9 || echo $?
mount -o remount,size=9m disk
{moot} run x.yaml --out disk/out > /dev/null
cp -r disk/out out
mount -o remount,ro disk
{moot} run x.yaml --out disk/other 2> ro.err && exit 9 || echo $?
"""


@pytest.mark.parametrize("size", [60, 96, 132, 260])
def test_a_full_disk_loses_nothing(tmp_path: Path, size: int, tiny: Path) -> None:
    alone = ["unshare", "--map-root-user", "--mount"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    items = ", ".join(f"{{prompt: '{i} + 1?', answer: {i + 1}}}" for i in range(9))
    (tmp_path / "x.yaml").write_text(f"""\
name: full
cycles: 1
engines:
  main: {{kind: scripted, lines: ["1", "2"], model: {tiny}}}
population:
  - {{name: solver, count: 4, learns: true}}
tasks: {{kind: inline, verifier: number, held_out: 3, per_cycle: 4, items: [{items}]}}
protocol: {{kind: consensus}}
method: {{kind: cat}}
fit: {{device: cpu, lora: {{rank: 4}}}}
evaluation: {{samples: 2, baseline_votes: 4}}
""")
    (tmp_path / "disk").mkdir()
    command = f"{sys.executable} -m moot.experiments.main"
    script = SMALL_DISK.format(size=size, moot=command)

    done = subprocess.run(
        [*alone, "sh", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout.split()[-1]) == (0, "2"), done.stderr
    for name, words in (("full", ("moot: ", "No space left", "disk is full")), ("ro", ("out",))):
        [line] = (tmp_path / f"{name}.err").read_text().splitlines()
        assert any(word in line for word in words)
    assert (tmp_path / "out" / "report.html").is_file()
    assert len(pq.read_table(tmp_path / "out" / "cycle-000" / "episodes.parquet")) == 4
