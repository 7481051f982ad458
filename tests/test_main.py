"""The `moot` command: quick to answer, plain in what it says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from command import said
from planned import EXPERIMENT


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    found = said(capsys, "--help")

    for command in ("run", "plan", "report", "models", "schema"):
        assert f"  {command} " in found


@pytest.mark.parametrize("command", ["--help", "plan x.yaml", "schema", "models"])
def test_nothing_heavy_is_imported_before_it_is_needed(command: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(EXPERIMENT)
    script = (
        "import sys\n"
        "from moot.experiments.main import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'torch', 'transformers', 'vllm', 'scipy', 'pyarrow'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", script, *command.split()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


WITHOUT_TORCH = """\
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "transformers", "peft", "accelerate"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
from moot.experiments.main import main
main(["run", "x.yaml", "--out", "out"])
"""


def test_a_run_in_which_nobody_learns_needs_no_torch(tmp_path: Path) -> None:
    cut = EXPERIMENT.replace("learns: true, ", "").replace("method: {kind: cat}\n", "")
    (tmp_path / "x.yaml").write_text(cut.replace(", baseline_votes: 6", ""))

    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "report.html").is_file()


def test_the_schema_is_json_for_an_editor(capsys: pytest.CaptureFixture[str]) -> None:
    schema = json.loads(said(capsys, "schema"))

    assert schema["additionalProperties"] is False
    assert set(schema["required"]) == {"name", "engines", "population", "tasks", "protocol"}
    by_name, by_settings = schema["$defs"]["CaT"]["properties"]["objective"]["anyOf"]
    assert "dapo" in by_name["enum"]
    assert by_settings == {"$ref": "#/$defs/Objective"}


def test_models_say_where_they_come_from_and_what_they_cost(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = said(capsys, "models")

    assert "hub HuggingFaceTB/SmolLM2-135M-Instruct · 135 M parameters · Apache-2.0" in found
    assert "qwen2.5-coder-1.5b-instruct" in found
