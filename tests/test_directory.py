"""A run's directory belongs to one experiment and, while it runs, to one process."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from claimed import EXPERIMENT, ITEMS, SPLIT

from moot.agents.errors import InputError, MootError
from moot.experiments.cycle.recording import resolved
from moot.experiments.files.directory import JOURNAL, claim
from moot.experiments.files.made import SEEDS, of_tasks
from moot.experiments.run import run
from moot.experiments.tasks.split import Split, divide
from moot.experiments.tasks.table import Inline, Item
from moot.protocols.debate import Debate
from moot.protocols.journal import SCHEMA, Journal
from moot.protocols.judged import Judged


def test_the_same_experiment_comes_back_to_its_directory(tmp_path: Path) -> None:
    for _ in range(2):
        with claim(EXPERIMENT, SPLIT, tmp_path / "out"):
            pass

    assert "name: mine" in (tmp_path / "out" / "experiment.yaml").read_text()


def test_a_run_that_was_killed_before_it_wrote_anything_begins(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / ".experiment.yaml.part").write_text("nam")

    with claim(EXPERIMENT, SPLIT, tmp_path):
        pass

    assert (tmp_path / "experiment.yaml").is_file()


def test_what_a_run_was_begun_with_is_known_when_it_goes_on(tmp_path: Path) -> None:
    with claim(EXPERIMENT, SPLIT, tmp_path):
        pass
    file = tmp_path / "experiment.yaml"
    begun = re.sub(r"(\n  torch: ).*", r"\g<1>as it was", file.read_text())
    file.write_text(begun)

    with claim(EXPERIMENT, SPLIT, tmp_path):
        pass

    assert "torch: as it was" in begun
    assert file.read_text() == begun


def test_another_experiment_is_refused_with_the_keys_that_differ(tmp_path: Path) -> None:
    with claim(EXPERIMENT, SPLIT, tmp_path):
        pass
    other = EXPERIMENT.model_copy(update={"seed": 1, "cycles": 1})

    with (
        pytest.raises(InputError, match=r"Differing: cycles \(2 there, 1 here\), seed \(0 there"),
        claim(other, SPLIT, tmp_path),
    ):
        raise AssertionError


def test_where_nothing_was_said_another_experiment_begins(tmp_path: Path) -> None:
    other = EXPERIMENT.model_copy(update={"seed": 1})
    for mine in (EXPERIMENT, other):
        with claim(mine, SPLIT, tmp_path), Journal(tmp_path / JOURNAL):
            pass

    assert "seed: 1" in (tmp_path / "experiment.yaml").read_text()

    with Journal(tmp_path / JOURNAL) as journal:
        journal.finish("held-out-000")  # which may be without a word
    with pytest.raises(InputError, match="Differing: seed"), claim(EXPERIMENT, SPLIT, tmp_path):
        raise AssertionError


def test_where_what_was_said_is_lost_no_other_experiment_begins(tmp_path: Path) -> None:
    with claim(EXPERIMENT, SPLIT, tmp_path), Journal(tmp_path / JOURNAL):
        pass
    (tmp_path / "held-out-000").mkdir()
    (tmp_path / "held-out-000" / "turns.parquet").touch()
    other = EXPERIMENT.model_copy(update={"seed": 1})

    with pytest.raises(InputError, match="Differing: seed"), claim(other, SPLIT, tmp_path):
        raise AssertionError


def test_an_option_that_an_earlier_moot_did_not_have_is_at_its_default(tmp_path: Path) -> None:
    with claim(EXPERIMENT, SPLIT, tmp_path):
        pass
    file = tmp_path / "experiment.yaml"
    lines = file.read_text().splitlines(keepends=True)
    kept = [line for line in lines if "baseline_votes" not in line]
    assert len(kept) == len(lines) - 1
    file.write_text("".join(kept))

    with claim(EXPERIMENT, SPLIT, tmp_path):
        pass
    changed = EXPERIMENT.evaluation.model_copy(update={"baseline_votes": 9})
    file.write_text("".join(kept))
    with (
        pytest.raises(InputError, match=r"evaluation\.baseline_votes \(64 there, 9 here\)"),
        claim(EXPERIMENT.model_copy(update={"evaluation": changed}), SPLIT, tmp_path),
    ):
        raise AssertionError


def test_an_option_that_an_earlier_moot_let_pass_and_meant_nothing_is_at_its_default(
    tmp_path: Path,
) -> None:
    talk = Judged(talk=Debate())
    two = EXPERIMENT.model_copy(update={"protocol": talk})
    with claim(two, SPLIT, tmp_path):
        pass
    file = tmp_path / "experiment.yaml"
    text = file.read_text().replace("redraw: never", "redraw: round")
    text = text.replace("shard: false", "shard: true").replace("graphs: false", "graphs: true")
    #  Nor had it all the options that there are now.
    lines = text.replace("device: auto", "device: cpu").splitlines(keepends=True)
    file.write_text("".join(line for line in lines if "baseline_votes" not in line))
    fit = EXPERIMENT.fit.model_copy(update={"device": "cpu"})

    assert resolved(tmp_path).fit == fit
    with claim(two.model_copy(update={"fit": fit}), SPLIT, tmp_path):
        pass
    with (
        pytest.raises(InputError, match=r"Differing: fit\.device \(cpu there, auto here\)$"),
        claim(two, SPLIT, tmp_path),
    ):
        raise AssertionError


def test_a_run_whose_seeds_were_drawn_otherwise_is_refused(tmp_path: Path) -> None:
    with claim(EXPERIMENT, SPLIT, tmp_path):
        pass
    resolved = tmp_path / "experiment.yaml"
    resolved.write_text(resolved.read_text().replace(SEEDS, "each by itself"))

    with (
        pytest.raises(InputError, match="was begun by an earlier moot, which drew other seeds"),
        claim(EXPERIMENT, SPLIT, tmp_path),
    ):
        raise AssertionError


def test_a_directory_whose_record_was_broken_is_refused(tmp_path: Path) -> None:
    (tmp_path / "experiment.yaml").write_text("name: [")

    with (
        pytest.raises(InputError, match="isn't what `moot run` wrote there"),
        claim(EXPERIMENT, SPLIT, tmp_path),
    ):
        raise AssertionError


def test_a_record_that_is_no_experiment_of_this_version_is_refused(tmp_path: Path) -> None:
    with claim(EXPERIMENT, SPLIT, tmp_path):
        pass
    file = tmp_path / "experiment.yaml"
    file.write_text(re.sub(r"\nseed: 0", "\nseed: many", file.read_text()))

    with (
        pytest.raises(InputError, match=r"Differing: .*seed \(many there, 0 here\)"),
        claim(EXPERIMENT, SPLIT, tmp_path),
    ):
        raise AssertionError


def test_other_tasks_under_the_same_name_are_refused(tmp_path: Path) -> None:
    with claim(EXPERIMENT, SPLIT, tmp_path):
        pass
    changed = divide(SPLIT.train, 1, 1, seed=0)

    with (
        pytest.raises(InputError, match=r"the task file changed: .*; choose another --out"),
        claim(EXPERIMENT, changed, tmp_path),
    ):
        raise AssertionError


def test_a_run_whose_journal_was_lost_is_refused(tmp_path: Path) -> None:
    mine = EXPERIMENT.model_copy(update={"cycles": 1})
    run(mine, SPLIT, tmp_path)
    journal = tmp_path / "journal.sqlite"
    found = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    del found[journal]

    def lose() -> None:
        journal.unlink()

    def empty() -> None:
        journal.write_bytes(b"")

    def forget() -> None:
        with closing(sqlite3.connect(journal)) as db:
            db.executescript(SCHEMA)

    for damage in (lose, empty, forget):
        damage()
        with pytest.raises(InputError, match=r"is lost or empty, and .*/turns\.parquet is"):
            run(mine, SPLIT, tmp_path)
        assert {path: path.read_bytes() for path in found} == found
        journal.unlink(missing_ok=True)


def test_a_run_that_was_killed_before_anything_was_complete_goes_on(tmp_path: Path) -> None:
    with claim(EXPERIMENT, SPLIT, tmp_path):
        pass
    (tmp_path / "held-out-000").mkdir()

    assert run(EXPERIMENT, SPLIT, tmp_path).is_file()


def test_a_directory_serves_one_process_at_a_time(tmp_path: Path) -> None:
    with (
        claim(EXPERIMENT, SPLIT, tmp_path),
        pytest.raises(MootError, match="another moot is running there"),
        claim(EXPERIMENT, SPLIT, tmp_path),
    ):
        raise AssertionError


def test_a_fingerprint_depends_on_questions_and_answers() -> None:
    def named(answer: int) -> str:
        items = (*ITEMS[:3], Item(prompt="3?", answer=answer))
        source = Inline(items=items, verifier="number", held_out=1, per_cycle=1)
        return of_tasks(source.load(0))

    assert named(3) == of_tasks(SPLIT)
    assert named(4) != named(3)
    assert of_tasks(Split(SPLIT.train, ())) != of_tasks(SPLIT)
    assert of_tasks(Split(SPLIT.held_out, SPLIT.train)) != of_tasks(SPLIT)
