"""Checkpoints: there whole, or none."""

from pathlib import Path

import pytest
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
    for epochs in (4, 5):
        settings = WATCHED.model_copy(update={"epochs": epochs})
        steps(learner(tiny), tiny, tmp_path / str(epochs), settings)
    [older], [kept] = (list((tmp_path / name).iterdir()) for name in "45")
    older.rename(kept.parent / older.name)

    found = latest(kept.parent)

    assert found is not None
    assert (found.step, found.folder) == (10, kept)


def test_an_older_one_is_there_until_the_newer_is(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("moot.training.checkpoint.remove", killed)
    with pytest.raises(KeyboardInterrupt):
        steps(learner(tiny), tiny, tmp_path, WATCHED)

    found = latest(tmp_path)
    assert found is not None
    assert found.step == 2
