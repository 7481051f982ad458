"""What the README shows is what there is."""

import re
from pathlib import Path

import pytest

from moot.experiments.main import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
QUICKSTART = (ROOT / "experiments" / "configs" / "quickstart.yaml").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def test_the_experiment_that_is_explained_is_the_one_that_ships() -> None:
    explained = [re.sub(r" +# .*", "", line) for line in blocks("yaml")[0].splitlines()]
    shipped = [line for line in QUICKSTART.splitlines() if not line.startswith("#")]

    assert explained == shipped


def test_the_errors_that_are_shown_are_those_that_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [shown] = re.findall(r"^\$ moot plan x.yaml\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    slips = {"cycles: 4": "cycles: four", "count": "cuont", "sees: answer": "sees: anwser"}
    text = QUICKSTART[QUICKSTART.index("name:") :]
    for right, wrong in slips.items():
        assert right in text
        text = text.replace(right, wrong)
    (tmp_path / "x.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SystemExit):
        main(["plan", "x.yaml"])

    assert capsys.readouterr().err == shown


def test_the_two_commands_come_first_and_every_link_leads_somewhere() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert re.findall(r"^make (\w+)", README, re.MULTILINE)[:2] == ["demo", "test"]
    assert set(re.findall(r"\bmake ([a-z-]+)", README)) <= set(targets)
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert link.startswith("http") or (ROOT / link).exists(), link
