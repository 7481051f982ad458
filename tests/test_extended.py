"""A run to which cycles are added: it is, in the end, a run that had them from the beginning."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from command import moot, rows

EXPERIMENT = """\
name: extended
seed: 3
cycles: 1
engines:
  main: {{kind: scripted, lines: ["1", "2", "it is 3", "?"], model: {model}}}
population:
  - {{name: solver, count: 2, learns: true}}
tasks:
  kind: inline
  verifier: number
  held_out: 3
  per_cycle: 4
  items: [{items}]
protocol: {{kind: synthesis}}
method: {{kind: cat, objective: {{kl: 0.1}}}}
fit: {{lr: 1.0e-2, groups: 2, device: cpu, lora: {{rank: 4}}}}
evaluation: {{samples: 2, baseline_votes: 4}}
"""


@pytest.fixture
def experiment(tiny: Path, tmp_path: Path) -> Path:
    items = ", ".join(f"{{prompt: '{i}?', answer: {i % 3 + 1}}}" for i in range(9))
    path = tmp_path / "x.yaml"
    path.write_text(EXPERIMENT.format(model=tiny, items=items))
    return path


def left(out: Path) -> dict[str, Any]:
    """Return all that a run's directory holds but times."""
    times = {"latency_s": 0, "ended_s": 0, "seconds": 0}
    tables = sorted(out.rglob("*.parquet"))
    found: dict[str, Any] = {
        str(path.relative_to(out)): [{**row, **times} for row in rows(path)] for path in tables
    }
    weights = sorted(out.rglob("*.safetensors"))
    return found | {str(path.relative_to(out)): path.read_bytes() for path in weights}


def test_a_run_goes_on_for_more_cycles_as_if_it_had_had_them_from_the_beginning(
    experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, more = tmp_path / "out", ("--set", "cycles=2")
    assert moot("run", experiment, "--out", out) == 0
    (out / "controls-vote-99").mkdir()  # how many answers a control has hangs on what is said
    with closing(sqlite3.connect(out / "journal.sqlite")) as db, db:
        db.execute("update usage set calls = 999 where phase like 'controls-%'")

    assert moot("run", experiment, "--out", out, *more) == 0
    assert moot("run", experiment, "--out", tmp_path / "whole", *more) == 0

    extended, whole = left(out), left(tmp_path / "whole")
    assert {m["cycle"] for m in whole["metrics.parquet"] if "controls/" in m["name"]} == {2}
    assert list(extended) == list(whole)
    for file in whole:
        assert extended[file] == whole[file], file
    assert not (out / "controls-vote-99").exists()
    assert "finished: two cycles" in (out / "report.html").read_text()

    capsys.readouterr()
    assert moot("run", experiment, "--out", out) == 2
    assert "Differing: cycles (2 there, 1 here)" in capsys.readouterr().err
