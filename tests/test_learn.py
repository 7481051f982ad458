"""Published weights: all of a cycle's or none, and the newest of each."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from moot.agents.types import Weights
from moot.experiments.cycle.learn import current, publish, published


def trained(cycle: Path, name: str, step: int) -> None:
    folder = cycle / "fit" / name / f"step-{step:06d}"
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_text(f"{name} {step}")


def test_the_last_checkpoints_appear_together_and_the_rest_goes(tmp_path: Path) -> None:
    cycle = tmp_path / "cycle-000"
    trained(cycle, "a", 2)
    trained(cycle, "a", 1)  # a kill left it
    trained(cycle, "b", 1)
    assert not published(cycle)

    publish(cycle)

    assert published(cycle)
    assert [path.name for path in sorted(cycle.iterdir())] == ["weights"]
    assert (cycle / "weights/a/adapter_model.safetensors").read_text() == "a 2"


def test_what_is_published_takes_no_room_twice(tmp_path: Path) -> None:
    trained(tmp_path, "a", 2)
    [file] = tmp_path.rglob("adapter_model.safetensors")
    before = file.stat()

    publish(tmp_path)

    after = (tmp_path / "weights/a/adapter_model.safetensors").stat()
    assert (after.st_dev, after.st_ino) == (before.st_dev, before.st_ino)
    assert after.st_nlink == 1  # no other name is left by which it could be changed


def test_checkpoints_on_another_file_system_are_copied(tmp_path: Path) -> None:
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no other file system")
    with TemporaryDirectory(dir=memory) as elsewhere:
        trained(Path(elsewhere), "a", 2)
        (tmp_path / "fit").symlink_to(Path(elsewhere) / "fit")

        publish(tmp_path)

    assert (tmp_path / "weights/a/adapter_model.safetensors").read_text() == "a 2"


def test_a_half_moved_set_from_a_killed_run_is_no_set(tmp_path: Path) -> None:
    cycle = tmp_path / "cycle-000"
    trained(cycle, "a", 2)
    (cycle / ".weights.part" / "stale").mkdir(parents=True)
    assert not published(cycle)

    publish(cycle)

    assert [path.name for path in (cycle / "weights").iterdir()] == ["a"]


def test_a_cycle_that_taught_nothing_is_complete_and_leaves_the_versions(tmp_path: Path) -> None:
    trained(tmp_path / "cycle-000", "a", 1)
    publish(tmp_path / "cycle-000")
    publish(tmp_path / "cycle-001")
    trained(tmp_path / "cycle-002", "b", 1)
    publish(tmp_path / "cycle-002")

    assert published(tmp_path / "cycle-001")
    assert current(tmp_path, 3) == {
        "a": Weights("a", 1, tmp_path / "cycle-000/weights/a"),
        "b": Weights("b", 3, tmp_path / "cycle-002/weights/b"),
    }
    assert list(current(tmp_path, 2)) == ["a"]
    assert current(tmp_path, 0) == {}
