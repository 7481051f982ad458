"""Stored: the files that a version of weights, or a checkpoint, lies in, and how they are read."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoConfig

from moot.agents.errors import MootError, in_one_line
from moot.agents.types import Dtype
from moot.agents.weights.names import ADAPTER, ADAPTER_CONFIG
from moot.agents.weights.pretrained import load

CONFIG, MODEL = "config.json", "model.safetensors"
"""What transformers calls the files of a model."""
SCALAR = "scalar_head"
"""What the scalar head's tensors, and their folder, are called."""
HEAD = Path(SCALAR) / "head.safetensors"
"""Apart from the weights: vLLM takes all that lies beside a model for a part of it."""


def tensors(folder: Path, *, scalar: bool = False) -> dict[str, Tensor]:
    """Return the tensors of a version of weights, as `Learner.tensors` names them.

    Args:
        folder: of the version.
        scalar: whether it has a scalar head for sure; else one that is there is read.

    Raises:
        MootError: a file is gone or damaged.
    """
    checked(folder)
    adapter, head = folder / ADAPTER, folder / HEAD
    found = load_file(adapter) if adapter.exists() else _whole(folder)
    if scalar or head.exists():
        with reading(head):
            found |= load_file(head)
    return found


def reworded(config: Path, **said: str) -> None:
    """Have a file of settings say this."""
    known = {**json.loads(config.read_text()), **said}
    config.write_text(json.dumps(known, indent=2, sort_keys=True))


def checked(folder: Path) -> None:
    """Raise where a file that a version of weights must have is gone, or plainly damaged."""
    whole = any((folder / name).exists() for name in (CONFIG, MODEL))
    settings, tensors = (CONFIG, MODEL) if whole else (ADAPTER_CONFIG, ADAPTER)
    with reading(folder / settings):
        json.loads((folder / settings).read_bytes())
    with reading(folder / tensors), safe_open(folder / tensors, framework="pt"):
        pass  # its header and its length are looked at


def _whole(folder: Path) -> dict[str, Tensor]:
    """Return the tensors of the model in `folder`, in the numbers that they are filed in.

    Only transformers knows what it calls in memory what it filed under another name.
    """
    with reading(folder / CONFIG):
        dtype = str(AutoConfig.from_pretrained(folder).dtype).removeprefix("torch.")
    return load(folder, cast(Dtype, dtype), "cpu").state_dict()


@contextmanager
def reading(file: Path) -> Generator[None]:
    """While this lasts `file` is read, and what goes wrong is told in one line.

    Raises:
        MootError: it is gone, or isn't as it was written.
    """
    try:
        yield
    except (OSError, ValueError, TypeError, KeyError, SafetensorError) as error:
        why = f"is damaged: {in_one_line(error)}" if file.exists() else "is gone"
        raise MootError(f"{file}: {why}; {_instead(file)}") from None


def _instead(file: Path) -> str:
    """Return what can be done: only a training that isn't over can be begun again."""
    checkpoint = next((path for path in file.parents if path.name.startswith("step-")), None)
    if checkpoint is None:
        return "bring it back, or choose another --out"
    return f"bring it back, or remove {checkpoint}, and the training begins again"
