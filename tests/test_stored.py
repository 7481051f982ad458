"""Weights and checkpoints of which a file is gone or damaged: one line tells of which."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from told import FIT, learner, learnt, rollout

from moot.agents.errors import MootError
from moot.training import proof
from moot.training.checkpoint import latest
from moot.training.methods.cat import CaT
from moot.training.model.stored import tensors
from moot.training.policy_gradient.objective import Objective
from moot.training.settings import Fit

Damage = Callable[[Path], object]


def garbage(file: Path) -> None:
    file.write_bytes(b"garbage")


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-8])


def trained(model: Path, folder: Path, settings: Fit) -> Path:
    """Return the checkpoint of a policy with a value head."""
    pupil = learner(model, settings, scalar=True)
    said = [rollout(i, float(i == 0), (20 + i, 2)) for i in range(3)]
    learnt(pupil, CaT(objective=Objective(like="ppo")), said, model, folder, settings)
    [found] = folder.iterdir()
    proof.write(folder, proof.Proof((), "a", (1,), (2,), (-1.0,)))
    return found


def read(folder: Path) -> None:
    """Read all that lies in a checkpoint."""
    found = latest(folder.parent)
    assert found is not None
    assert dict(found.moments())
    assert tensors(folder, scalar=True)
    assert proof.read(folder) is not None


@pytest.mark.parametrize("lora", [FIT.lora, None])
@pytest.mark.parametrize("damage", [Path.unlink, garbage, cut])
def test_a_checkpoint_names_the_file(
    tiny: Path, tmp_path: Path, lora: object, damage: Damage
) -> None:
    folder = trained(tiny, tmp_path, FIT.model_copy(update={"lora": lora}))
    read(folder)
    optional = {"generation_config.json"} | ({proof.FILE} if damage is Path.unlink else set())
    told = "is gone" if damage is Path.unlink else "is damaged: "
    files = [path for path in sorted(folder.rglob("*.*")) if path.name not in optional]
    assert len(files) >= 4

    for file in files:
        whole = file.read_bytes()
        damage(file)
        with pytest.raises(MootError, match=f"^{re.escape(f'{file}: {told}')}") as error:
            read(folder)
        assert str(error.value).endswith(f"or remove {folder}, and the training begins again")
        file.write_bytes(whole)


def test_published_weights_are_to_be_brought_back(tiny: Path, tmp_path: Path) -> None:
    folder = trained(tiny, tmp_path / "fit", FIT).rename(tmp_path / "solver")
    (folder / "adapter_model.safetensors").unlink()

    with pytest.raises(MootError, match=r"is gone; bring it back, or choose another --out$"):
        tensors(folder)
