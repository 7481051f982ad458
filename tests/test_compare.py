"""Runs side by side: what differs, what came of it, and what can't be told."""

import shutil
from pathlib import Path

import pytest
from command import moot
from compared import EXPERIMENT, correct

from moot.experiments.compare.outcome import outcome
from moot.experiments.compare.seeds import by_seed
from moot.experiments.compare.settings import shortened
from moot.experiments.compare.side_by_side import side_by_side
from moot.experiments.compare.table import shown
from moot.experiments.report.readings import read


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where runs lie: plain, an able one, and one with tasks of its own."""
    folder = tmp_path_factory.mktemp("compare")
    (folder / "x.yaml").write_text(EXPERIMENT)
    for name, change in (
        ("plain", "cycles=1"),
        ("able", "engines.main.competence=0.9"),
        ("other", "tasks.options=5"),
    ):
        assert moot("run", folder / "x.yaml", "--out", folder / name, "--set", change) == 0
    return folder


def table(folder: Path, *names: str) -> dict[str, list[str]]:
    """Return the cells of each line, by what the line is about."""
    lines = shown(side_by_side([read(folder / name) for name in names]))
    starts = [0, *(lines[0].index(name) for name in names)]
    ends = [*starts[1:], None]
    cut = ([line[a:b].strip() for a, b in zip(starts, ends, strict=True)] for line in lines if line)
    return {cells[0]: cells[1:] for cells in cut}


def test_settings_that_differ_come_first_and_then_what_came_of_them(folder: Path) -> None:
    found = table(folder, "plain", "able")

    assert [*found][:5] == [
        "",
        "engines.main.competence",
        "held-out accuracy, untrained",
        "held-out accuracy, in the end",
        "after",
    ]
    assert found["engines.main.competence"] == ["0.5", "0.9"]
    assert found["after"] == ["one cycle", "one cycle"]
    assert found["tasks that both were asked"] == ["–", "60"]
    nothing, gained = found["over plain, in the end"]
    low = float(gained.partition("[")[2].partition(",")[0])
    assert nothing == "–"
    assert 0.25 < low < float(gained.split()[0]) < 0.5
    assert all(cell.startswith("0.") for cell in found["talk/agreement"])
    assert "held_out/majority" in found


def test_what_is_set_beside_a_better_one_has_lost(folder: Path) -> None:
    assert table(folder, "able", "plain")["over able, in the end"][1].startswith("−0.4")


def test_other_tasks_are_not_compared(folder: Path) -> None:
    found = table(folder, "plain", "other", "able")

    assert found["over plain, in the end"][:2] == ["–", "–"]
    assert found["tasks that both were asked"] == ["–", "0", "60"]


def test_tasks_whose_known_answer_was_corrected_are_left_out_and_counted(
    folder: Path, tmp_path: Path
) -> None:
    for name in ("plain", "able"):
        shutil.copytree(folder / name, tmp_path / name)
    correct(tmp_path / "able", 25)

    found = table(tmp_path, "plain", "able")

    assert found["tasks that both were asked"] == ["–", "35"]
    assert found["left out, for other answers are right"] == ["–", "25"]
    assert "left out, for other answers are right" not in table(folder, "plain", "able")


def test_a_run_that_has_just_begun_has_dashes(folder: Path) -> None:
    (folder / "begun").mkdir(exist_ok=True)
    text = (folder / "plain" / "experiment.yaml").read_text()
    (folder / "begun" / "experiment.yaml").write_text(text)

    found = table(folder, "plain", "begun")
    assert found["held-out accuracy, in the end"][1] == "–"
    assert found["over plain, in the end"] == ["–", "–"]


def test_where_no_answers_are_known_nothing_is_said_of_accuracy(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    items = ", ".join(f"{{prompt: {i}?}}" for i in range(4))
    tasks = f"tasks: {{kind: inline, held_out: 2, per_cycle: 2, items: [{items}]}}"
    engine = "main: {kind: scripted, lines: [a, b]}"
    lines = [
        tasks if line.startswith("tasks") else f"  {engine}" if "main: {" in line else line
        for line in EXPERIMENT.splitlines()
    ]
    path.write_text("\n".join(lines))
    for seed in range(2):
        assert moot("run", path, "--out", tmp_path / f"s{seed}", "--set", f"seed={seed}") == 0

    found = table(tmp_path, "s0", "s1")
    assert found["after"] == ["one cycle", "one cycle"]
    assert not any("accuracy" in name or "both were asked" in name for name in found)
    assert "held_out/unreadable" in found
    seeds = shown(by_seed([read(tmp_path / f"s{seed}") for seed in range(2)]))
    assert not any("accuracy" in line for line in seeds)


def test_runs_of_one_name_are_told_apart_by_their_paths(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    text = (folder / "plain" / "experiment.yaml").read_text()
    (tmp_path / "plain" / "experiment.yaml").write_text(text)

    lines = shown(side_by_side([read(folder / "plain"), read(tmp_path / "plain")]))
    assert lines[0].split() == [str(folder / "plain"), str(tmp_path / "plain")]


def test_settings_that_only_some_have_are_shown_where_they_are_unusual(
    folder: Path, tmp_path: Path
) -> None:
    for name, protocol in (
        ("debate", "{kind: debate, rounds: 3}"),
        ("sample", "{kind: sample}"),
    ):
        out = tmp_path / name
        sets = ["--set", f"protocol={protocol}", "--set", "cycles=0"]
        assert moot("run", folder / "x.yaml", "--out", out, *sets) == 0

    found = shown(side_by_side([read(tmp_path / name) for name in ("debate", "sample")]))

    settings = found[1 : found.index("", 2)]
    assert [line.split() for line in settings if line] == [
        ["protocol.kind", "debate", "sample"],
        ["protocol.rounds", "3", "–"],
    ]


def test_that_one_run_has_a_method_is_shown(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "plain", tmp_path / "taught")
    file = tmp_path / "taught" / "experiment.yaml"
    text = file.read_text()
    assert "\nmethod:\n" in text
    file.write_text(text.replace("\nmethod:\n", "\nmethod: {kind: cat}\n"))

    found = shown(side_by_side([read(folder / "plain"), read(tmp_path / "taught")]))

    assert ["method.kind", "–", "cat"] in [line.split() for line in found]


def test_long_settings_are_shown_from_where_they_begin_to_differ() -> None:
    question = "You are a careful solver of hard questions. "
    said = shortened(
        [f"{question}Think step by step.", f"{question}Say it at once, without a word."]
    )

    assert said == ["…uestions. Think step by step.", "…uestions. Say it at once, without a word…"]
    assert shortened(["a\nb", "a\nc"]) == ["a b", "a c"]
    assert shortened(["x" * 60, "x" * 61])[0] != shortened(["x" * 60, "x" * 61])[1]


def test_a_run_that_was_evaluated_once_shows_no_change(folder: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    cut.mkdir()
    for name in ("experiment.yaml", "metrics.parquet"):
        (cut / name).write_bytes((folder / "plain" / name).read_bytes())
    shutil.copytree(folder / "plain" / "held-out-000", cut / "held-out-000")

    found = outcome(read(cut))
    assert (found.cycles, found.change) == (0, None)
    assert found.before == found.after
    assert len(found.tasks) == 60


def test_one_run_alone_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for some in (["plain"], ["plain", "plain"]):
        assert moot("compare", *(folder / name for name in some)) == 2
        assert capsys.readouterr().err == "moot compare: name two runs or more, each once\n"
    assert moot("compare", folder / "plain", folder / "able") == 0
    assert capsys.readouterr().out.startswith(" ")
    assert moot("compare", folder / "plain", folder / "gone") == 2
    assert "there is no such directory" in capsys.readouterr().err
