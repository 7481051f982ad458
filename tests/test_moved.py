"""A run whose model lies in a folder goes on with that model, wherever it is."""

import shutil
from pathlib import Path

import pytest
from command import journalled, moot

EXPERIMENT = """\
name: moved
cycles: CYCLES
engines:
  my.own: {kind: scripted, lines: ["1", "2"], model: ./model}
population: [{name: solver, count: 2}]
tasks:
  kind: inline
  verifier: number
  held_out: 1
  per_cycle: 1
  items: [{prompt: "1 + 1?", answer: "2"}, {prompt: "1 + 2?", answer: "3"}]
protocol: {kind: consensus}
"""


@pytest.fixture
def there(tiny: Path, tmp_path: Path) -> Path:
    """A folder with an experiment, its model, and its run of one cycle."""
    there = tmp_path / "there"
    shutil.copytree(tiny, there / "model")
    (there / "x.yaml").write_text(EXPERIMENT.replace("CYCLES", "1"))
    assert moot("run", there / "x.yaml", "--out", there / "run") == 0
    return there


def test_a_run_is_moved_with_its_model(
    there: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = journalled(there / "run", "cycle-000")
    here = there.rename(tmp_path / "here")
    (here / "x.yaml").write_text(EXPERIMENT.replace("CYCLES", "2"))

    assert moot("run", here / "x.yaml", "--out", here / "run") == 0, capsys.readouterr().err
    assert journalled(here / "run", "cycle-000") == before
    assert (here / "run" / "cycle-001" / "turns.parquet").is_file()


@pytest.mark.parametrize("place", ["there", "here"])
def test_another_model_in_its_place_is_refused(
    there: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    here = there.rename(tmp_path / place)
    weights = here / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\7")

    assert moot("run", here / "x.yaml", "--out", here / "run") == 2
    told = capsys.readouterr().err
    if place == "there":
        assert "model my.own changed: its fingerprint was " in told
    else:
        assert "Differing: engines.my.own.model" in told
