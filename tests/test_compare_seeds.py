"""Runs that differ in the seed alone are one experiment, each run one value of it."""

import csv
import shutil
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev

import pytest
from command import moot
from compared import EXPERIMENT, correct

from moot.experiments.analysis.stats import Interval, over_seeds
from moot.experiments.compare.outcome import outcome
from moot.experiments.compare.seeds import by_seed
from moot.experiments.compare.table import Cell
from moot.experiments.report.readings import read

T_OF_TWO = 4.3027
"""Student's t at 97.5 % with two degrees of freedom, from a printed table."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where runs lie: three seeds of one experiment, and of an abler one."""
    folder = tmp_path_factory.mktemp("seeds")
    (folder / "x.yaml").write_text(EXPERIMENT)
    for name, competence in (("plain", 0.5), ("able", 0.9)):
        for seed in (1, 2, 3):
            sets = [f"engines.main.competence={competence}", f"seed={seed}", f"name={name}"]
            sets += ["tasks.size=60", "tasks.held_out=30"]
            sets += [f"engines.main.limits.concurrency={seed}"]  # it changes nothing that is said
            words = [word for one in sets for word in ("--set", one)]
            assert moot("run", folder / "x.yaml", "--out", folder / f"{name}-{seed}", *words) == 0
    return folder


def table(folder: Path, *names: str) -> dict[str, tuple[Cell, ...]]:
    """Return the cells of each line, by what the line is about."""
    blocks = by_seed([read(folder / name) for name in names])
    return {line.name: line.cells for block in blocks for line in block}


def by_hand(values: list[float]) -> Interval:
    """Return the mean of three values with its interval."""
    reach = T_OF_TWO * stdev(values) / sqrt(3)
    return Interval(fmean(values), fmean(values) - reach, fmean(values) + reach)


def rows(file: Path) -> dict[tuple[str, str], dict[str, str]]:
    """Return the rows of a CSV, by whose they are and what they are about."""
    with file.open(encoding="utf-8", newline="") as lines:
        return {(row["run"], row["name"]): row for row in csv.DictReader(lines)}


PLAIN, ABLE = (tuple(f"{name}-{seed}" for seed in (3, 1, 2)) for name in ("plain", "able"))


def test_each_experiment_is_a_column_whose_interval_is_students_t_over_its_runs(
    folder: Path,
) -> None:
    found = table(folder, *PLAIN, *ABLE)

    assert [cell.text for cell in found[""]] == ["plain", "able"]
    assert [cell.text for cell in found["seeds"]] == ["1 to 3", "1 to 3"]
    assert [cell.text for cell in found["engines.main.competence"]] == ["0.5", "0.9"]
    assert "seed" not in found
    assert "made_with.tasks" not in found
    for names, cell in zip((PLAIN, ABLE), found["held-out accuracy, in the end"], strict=True):
        runs = [outcome(read(folder / name)).after for name in names]
        assert cell.number == pytest.approx(by_hand([r.value for r in runs if r]), abs=1e-4)
        assert "(of" not in cell.text


def test_the_difference_is_of_runs_with_the_same_seed(folder: Path) -> None:
    nothing, gained = table(folder, *PLAIN, *ABLE)["over plain, in the end"]

    each = [
        outcome(read(folder / f"able-{s}")).over(outcome(read(folder / f"plain-{s}")))
        for s in (1, 2, 3)
    ]
    assert nothing == Cell("–")
    assert gained.number == pytest.approx(by_hand([one.value for one in each if one]), abs=1e-4)
    assert gained.text.startswith("+0.")


def test_seeds_that_the_first_lacks_have_no_part_in_the_difference(folder: Path) -> None:
    found = table(folder, "plain-1", "plain-2", *ABLE)

    assert [cell.text for cell in found["seeds"]] == ["1, 2", "1 to 3"]
    each = [
        outcome(read(folder / f"able-{s}")).over(outcome(read(folder / f"plain-{s}")))
        for s in (1, 2)
    ]
    text, number, runs = found["over plain, in the end"][1]
    assert number is not None
    assert number.value == pytest.approx(fmean(one.value for one in each if one))
    assert text.endswith("(of 2)")
    assert runs == 2


def test_a_single_seed_has_no_interval_and_what_few_runs_know_says_so(
    folder: Path, tmp_path: Path
) -> None:
    for name in ("plain-1", "able-1", "able-2"):
        (tmp_path / name).symlink_to(folder / name)
    (tmp_path / "able-3").mkdir()
    text = (folder / "able-3" / "experiment.yaml").read_text()
    (tmp_path / "able-3" / "experiment.yaml").write_text(text)  # it has only just begun

    found = table(tmp_path, "plain-1", "able-1", "able-2", "able-3")

    alone, three = found["held-out accuracy, in the end"]
    assert alone.number is not None
    assert alone.number.low == alone.number.high == alone.number.value
    assert "[" not in alone.text
    assert three.text.endswith("(of 2)")
    assert [cell.text for cell in found["after"]] == ["one cycle", "0 to 1 cycles"]


def test_one_experiment_alone_is_summed_up(folder: Path) -> None:
    found = table(folder, *PLAIN)

    assert len(found["held-out accuracy, in the end"]) == 1
    assert not any(name.startswith("over ") for name in found)


@pytest.mark.parametrize(
    ("names", "titles"),
    [
        ({"plain-1": "a-1", "plain-2": "a-2", "able-1": "phi-1"}, ["a", "phi-1"]),
        ({"plain-1": "first", "plain-2": "second", "able-1": "c"}, ["first", "c"]),
        ({"plain-1": "a-1", "plain-2": "a-2", "able-1": "a1", "able-2": "a2"}, ["a-1", "a1"]),
        ({"plain-1": "1", "plain-2": "2"}, ["1"]),
    ],
)
def test_an_experiment_is_called_what_its_runs_are_but_for_the_seed_or_as_the_first(
    names: dict[str, str], titles: list[str], folder: Path, tmp_path: Path
) -> None:
    for there, name in names.items():
        (tmp_path / name).mkdir()
        text = (folder / there / "experiment.yaml").read_text()
        (tmp_path / name / "experiment.yaml").write_text(text)

    assert [cell.text for cell in table(tmp_path, *names.values())[""]] == titles


def test_replays_of_several_seeds_are_one_experiment_and_not_those_they_replay(
    folder: Path, tmp_path: Path
) -> None:
    for seed in (1, 2):
        again = ("--from", folder / f"plain-{seed}", "--out", tmp_path / f"again-{seed}")
        assert moot("run", *again) == 0
        (tmp_path / f"plain-{seed}").symlink_to(folder / f"plain-{seed}")

    found = table(tmp_path, "plain-1", "plain-2", "again-1", "again-2")

    assert [cell.text for cell in found[""]] == ["plain", "again"]
    assert [cell.text for cell in found["made_with.replay"]] == ["–", "nothing changed"]
    number = found["over plain, in the end"][1].number
    assert number is not None
    assert set(number) == {0.0}


def test_tasks_of_a_seed_whose_answers_were_corrected_are_left_out_and_counted(
    folder: Path, tmp_path: Path
) -> None:
    for name in ("plain-1", "plain-2", "able-1", "able-2"):
        shutil.copytree(folder / name, tmp_path / name)
    correct(tmp_path / "able-2", 12)

    found = table(tmp_path, "plain-1", "plain-2", "able-1", "able-2")

    assert found["tasks that both were asked"][1].text == "48"
    assert found["left out, for other answers are right"][1].text == "12"


def test_the_same_seed_twice_and_a_single_run_are_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "again").symlink_to(folder / "plain-1")
    assert moot("compare", "--seeds", folder / "plain-1", tmp_path / "again") == 2
    assert "are the same experiment with the same seed, 1: a seed counts" in capsys.readouterr().err
    assert moot("compare", "--seeds", folder / "plain-1") == 2
    assert capsys.readouterr().err == "moot compare --seeds: name two runs or more\n"


def test_a_mean_over_seeds_is_students() -> None:
    assert over_seeds([0.5]) == Interval(0.5, 0.5, 0.5)
    assert over_seeds([0.2, 0.4, 0.9]) == pytest.approx(by_hand([0.2, 0.4, 0.9]), abs=1e-4)
    assert over_seeds([0.2, 0.4, 0.9], (0, 1))[1:] == (0, 1)


def test_the_table_can_be_had_as_csv_with_numbers_in_full(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = tmp_path / "t.csv"
    runs = [folder / name for name in (*PLAIN, *ABLE)]
    assert moot("compare", "--seeds", *runs, "--to", to) == 0
    found = rows(to)
    cell = table(folder, *PLAIN, *ABLE)["over plain, in the end"][1]
    row = found["able", "over plain, in the end"]
    assert cell.number == tuple(float(row[name]) for name in ("value", "low", "high"))
    assert ("plain", "over plain, in the end") not in found
    assert found["able", "engines.main.competence"] == {
        "run": "able",
        "name": "engines.main.competence",
        "value": "0.9",
        "low": "",
        "high": "",
        "runs": "1",
    }
    assert moot("compare", *runs, "--to", tmp_path / "t.txt") == 2
    assert "expected a file that ends in .csv" in capsys.readouterr().err
    assert moot("compare", *runs, "--to", to) == 0
    assert ("plain-1", "held-out accuracy, in the end") in rows(to)
