"""Models that several processes divide, as torchrun starts them: what each of these finds."""

import json
import sys
from pathlib import Path
from unittest.mock import patch

import torch
from several_processes import FIT, PAIRS
from torch.distributed.fsdp import FSDPModule

from moot.agents.embedded.tokens import Tokens
from moot.agents.errors import MootError
from moot.agents.weights import pretrained
from moot.training import world
from moot.training.model import stored
from moot.training.model.architecture import base
from moot.training.model.forward import attention, score
from moot.training.model.learner import Learner
from moot.training.model.rows import columns, rows
from moot.training.settings import Fit


def fit(*, shard: bool = True) -> Fit:
    """How so many processes train."""
    return FIT.model_copy(update={"shard": shard, "processes": world.size()})


def layers(model: Path) -> list[str]:
    """What of a divided model is gathered by itself."""
    loaded = base(model, fit())
    return [name for name, one in loaded.named_modules() if isinstance(one, FSDPModule)]


def ways(model: Path) -> list[str]:
    """How rows go through a model that each process holds, and through one that is divided."""
    return [attention(base(model, fit(shard=shard))) for shard in (False, True)]


def thought(model: Path) -> list[list[float]]:
    """What a model thinks of some rows; it is divided where there are several processes."""
    several = world.size() > 1
    loaded, batch = base(model, fit(shard=several)), rows(columns(PAIRS), Tokens(model))
    with torch.no_grad():
        return (loaded.scored(batch) if several else score(loaded, batch)).logp.tolist()


def refused(model: Path) -> str:
    """What is said here of a model that can't be divided."""
    try:
        base(model, fit())
    except MootError as error:
        return str(error)
    return "nothing"


def reads(model: Path, folder: Path) -> list[int]:
    """How often this process reads a divided model, and the weights of a version of it."""
    whole = fit().model_copy(update={"lora": None})
    if world.leads():
        folder.mkdir()
    Learner(base(model, whole), whole, None, seed=1, model=model).save(folder)
    world.together()  # it is there for all
    with (
        patch("moot.training.model.architecture.load", wraps=pretrained.load) as load,
        patch("moot.training.model.learner.tensors", wraps=stored.tensors) as tensors,
    ):
        Learner(base(model, whole), whole, folder, seed=1, model=model)
    return [load.call_count, tensors.call_count]


def main(model: Path, folder: Path) -> None:
    """Leave in the folder what this process finds."""
    with world.joined("cpu"):
        # The one with states is the first that is loaded here: what is put on it is kept then, too.
        kinds = {kind.name: kind for kind in sorted((folder / "kinds").iterdir(), reverse=True)}
        found = {
            "thought": {name: thought(kind) for name, kind in kinds.items()},
            "ways": {name: ways(kind) for name, kind in kinds.items()},
            "layers": layers(model),
            "refused": refused(folder / "shared"),
            "reads": reads(model, folder / "version"),
        }
        (folder / f"found-{world.rank()}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
