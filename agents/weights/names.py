"""An adapter under the names that its base model's files have.

Where files hold a model that sees as well, and a text model is taken out of it (Qwen3.5, Llama 4),
that one's layers have shorter names than the files give them.  PEFT goes by the model, vLLM by the
files; layers that it doesn't know it leaves out, and the base model speaks.
"""

import json
import secrets
import shutil
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import EngineError

ADAPTER_CONFIG, ADAPTER = "adapter_config.json", "adapter_model.safetensors"
"""What PEFT calls the files of an adapter."""
FILED = "as-filed"
"""The folder beside these in which they lie under the other names."""
TEXT = "language_model"
"""What the text model is called within one that sees."""
OWN = "base_model.model."
"""What PEFT puts before the names of layers."""


def as_filed(adapter: Path, base: Path) -> Path:
    """Return the folder of the adapter under the names that the files of `base` have.

    Where those are others than its own, it is one in the folder `adapter`, made anew.

    Raises:
        EngineError: the adapter's file is damaged.
    """
    tensors = adapter / ADAPTER
    if not tensors.exists() or (prefix := _prefix(base)) is None:
        return adapter
    try:
        names = header(tensors)
    except (ValueError, OverflowError) as error:
        raise EngineError(f"{tensors}: is damaged: {error}") from None
    if any(f"{TEXT}." in name for name in names):
        return adapter
    made = adapter / FILED
    made.mkdir(exist_ok=True)
    for name, write in ((ADAPTER_CONFIG, shutil.copy), (ADAPTER, partial(_renamed, prefix))):
        part = made / f"{name}.{secrets.token_hex(4)}"  # another server may be given it too
        try:
            write(adapter / name, part)
            part.replace(made / name)
        finally:
            part.unlink(missing_ok=True)
    return made


def header(file: Path) -> dict[str, Any]:
    """Return what a safetensors file says of its tensors, by their names."""
    with file.open("rb") as opened:
        return json.loads(opened.read(int.from_bytes(opened.read(8), "little")))


def _prefix(base: Path) -> str | None:
    """Return what the names of a text model's layers begin with in the files of `base`.

    `None`: it is in no other model.
    """
    known = f"model.{TEXT}.", f"{TEXT}.model."
    names = (name for file in base.glob("*.safetensors") for name in header(file))
    return next((prefix for name in names for prefix in known if name.startswith(prefix)), None)


def _renamed(prefix: str, source: Path, target: Path) -> None:
    """Copy an adapter's file; its layers' names begin so as the files have them."""
    before, after = f"{OWN}model.", f"{OWN}{prefix}"
    named = {name.replace(before, after, 1): told for name, told in header(source).items()}
    with source.open("rb") as old, target.open("wb") as new:
        old.seek(8 + int.from_bytes(old.read(8), "little"))
        text = json.dumps(named).encode()
        text += b" " * (-len(text) % 8)
        new.write(len(text).to_bytes(8, "little") + text)
        shutil.copyfileobj(old, new)
