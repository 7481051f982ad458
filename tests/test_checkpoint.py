"""Checkpoints: there whole, or none."""

from pathlib import Path
from shutil import copytree

from told import learner
from watched import WATCHED, steps

from moot.training.checkpoint import latest, remove


def test_a_checkpoint_that_is_removed_is_gone_whatever_a_kill_left_there(
    tiny: Path, tmp_path: Path
) -> None:
    steps(learner(tiny), tiny, tmp_path, WATCHED)
    kept = latest(tmp_path)
    assert kept is not None
    assert kept.folder is not None
    assert [path.name for path in tmp_path.iterdir()] == [kept.folder.name]  # and no older one
    (tmp_path / f".{kept.folder.name}.gone" / "half").mkdir(parents=True)

    remove(kept.folder)

    assert latest(tmp_path) is None
    assert not list(tmp_path.iterdir())


def test_of_several_that_a_kill_left_the_newest_counts(tiny: Path, tmp_path: Path) -> None:
    settings = WATCHED.model_copy(update={"epochs": 5})
    steps(learner(tiny), tiny, tmp_path, settings)
    [kept] = tmp_path.iterdir()
    copytree(kept, tmp_path / kept.name.replace("10", "09"))

    found = latest(tmp_path)

    assert found is not None
    assert found.folder == kept
