"""An adapter under the names that its base model's files have.

Where files hold a model that sees as well, and a text model is taken out of it (Qwen3.5), that
one's layers have shorter names than the files give them.  PEFT goes by the model, vLLM by the
files; layers that it doesn't know it leaves out, and the base model speaks.
"""

import json
import secrets
import shutil
from pathlib import Path
from typing import Any

FILES = "adapter_config.json", "adapter_model.safetensors"
"""What PEFT calls those of an adapter."""
FILED = "as-filed"
"""The folder beside these in which they lie under the other names."""
SHORT, LONG = "base_model.model.model.", "base_model.model.model.language_model."


def as_filed(adapter: Path, base: Path) -> Path:
    """Return the folder of the adapter under the names that the files of `base` have.

    Where those are others than its own, it is one in the folder `adapter`, made if it isn't there.
    """
    settings, tensors = (adapter / name for name in FILES)
    known = not tensors.exists() or any(name.startswith(LONG) for name in header(tensors))
    if known or not _sees(base):
        return adapter
    made, new = adapter / FILED, adapter / f"{FILED}-{secrets.token_hex(4)}"
    if not made.exists():
        new.mkdir()
        shutil.copy(settings, new)
        _renamed(tensors, new / tensors.name)
        try:
            new.rename(made)
        except OSError:  # somebody else was first
            shutil.rmtree(new)
    return made


def header(file: Path) -> dict[str, Any]:
    """Return what a safetensors file says of its tensors, by their names."""
    with file.open("rb") as opened:
        return json.loads(opened.read(int.from_bytes(opened.read(8), "little")))


def _sees(base: Path) -> bool:
    """Return whether the files of `base` hold a text model beside something else."""
    names = (name for file in base.glob("*.safetensors") for name in header(file))
    return any(name.startswith("model.language_model.") for name in names)


def _renamed(source: Path, target: Path) -> None:
    """Copy a safetensors file, its tensors named as they are filed."""
    named = {name.replace(SHORT, LONG, 1): told for name, told in header(source).items()}
    with source.open("rb") as old, target.open("wb") as new:
        old.seek(8 + int.from_bytes(old.read(8), "little"))
        text = json.dumps(named).encode()
        text += b" " * (-len(text) % 8)
        new.write(len(text).to_bytes(8, "little") + text)
        shutil.copyfileobj(old, new)
