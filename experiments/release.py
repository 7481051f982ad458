"""Release: a run's weights as a model that others load, with a card that says where it is from."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from moot.agents.errors import InputError, MootError, near
from moot.agents.self_reward import FILE as SELF_REWARD
from moot.agents.types import Weights
from moot.agents.weights.catalogue import CATALOGUE
from moot.agents.weights.models import locate

from .cycle.learn import current, published
from .files.described import first, understood
from .files.directory import RESOLVED, talk_folder
from .files.owned import FOLDER as CODE
from .report.readings import Readings, read
from .yaml.source import read as source

TOKENIZER = (
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template*",
    "vocab*",
    "merges.txt",
    "*processor_config.json",
)
"""What a tokenizer and its chat template lie in, and what a model that sees too reads images by."""


def release(run: Path, name: str | None, to: Path, cycle: int | None = None) -> Weights:
    """Write a version of the weights `name` to the folder `to`, and return which it is.

    An adapter is added to its base, so that the folder needs nothing beside it: config.json,
    model.safetensors, the tokenizer with its chat template, and README.md, a model card.

    Args:
        run: a run's directory.
        name: of the weights; may be `None` where the run has but one.
        to: a folder that isn't there yet, or is empty.
        cycle: after so many cycles; `None`: after all that there were, so the newest version.

    Raises:
        MootError: nothing was learnt, or not by then, there is no such cycle, there are no such
            weights, they are damaged, or `to` is in use.
    """
    readings = read(run)
    weights = _chosen(run, readings.cycles, name, cycle)
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise InputError(f"--to {to}: is there already; name a new folder")
    model, rounded = _learnt_on(run, weights.name)
    beside = to.with_name(f".{to.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        _write(locate(model), weights, beside, rounded=rounded)
        (beside / "README.md").write_text("\n".join(_card(readings, weights, model)) + "\n")
        if (run / CODE).is_dir():  # the code that the card's experiment names
            shutil.copytree(run / CODE, beside / CODE)
        if to.is_dir():
            to.rmdir()
        beside.rename(to)
    finally:  # nothing is left of one that failed, or was interrupted
        shutil.rmtree(beside, ignore_errors=True)
    return weights


def _chosen(run: Path, cycles: int, name: str | None, cycle: int | None) -> Weights:
    """Return the version of the weights `name` that spoke after `cycle` of a run's cycles."""
    newest = current(run, cycles)
    if not newest:
        raise MootError(f"{run}: nothing was learnt in this run: there are no weights to export")
    if name is None and len(newest) > 1:
        raise InputError(f"--weights: say which: {', '.join(newest)}")
    if name is not None and name not in newest:
        raise InputError(f"--weights: no weights '{name}'{near(name, newest)}")
    name = name or next(iter(newest))
    if cycle is None:
        return newest[name]
    done = [n for n in range(1, cycles + 1) if published(talk_folder(run, n - 1))]
    if cycle and cycle not in done:
        there = ", ".join(map(str, done))
        raise InputError(f"--cycle {cycle}: so many cycles aren't finished here; there are {there}")
    found = current(run, cycle).get(name)
    if found is None:
        first = next(n for n in done if name in current(run, n))
        raise InputError(
            f"--cycle {cycle}: '{name}' had learnt nothing then; its first version is that of "
            f"--cycle {first}"
        )
    return found


def _write(base: Path, weights: Weights, to: Path, *, rounded: bool) -> None:
    """Write the model to the folder `to`.

    Args:
        base: that was learnt on.
        weights: what was learnt.
        to: a folder.
        rounded: whether 4 bits held the base while it was learnt on: what was measured is the base
            as it was then.
    """
    from peft import PeftModel

    from moot.agents.embedded.adapters import quietly
    from moot.agents.weights.names import ADAPTER_CONFIG
    from moot.agents.weights.pretrained import load
    from moot.training.model.stored import checked, reading

    checked(weights.path)
    if weights.whole:
        for name in ("config.json", "generation_config.json", "model.safetensors"):
            if (weights.path / name).is_file():
                shutil.copy(weights.path / name, to)
    else:
        model = load(base, "auto", "cpu", quantized=rounded)
        model = model.dequantize() if rounded else model
        with quietly(), reading(weights.path / ADAPTER_CONFIG):
            both: Any = PeftModel.from_pretrained(model, str(weights.path))
        both.merge_and_unload().save_pretrained(str(to))
    if (weights.path / SELF_REWARD).is_file():
        shutil.copy(weights.path / SELF_REWARD, to)
    for pattern in TOKENIZER:
        for file in base.glob(pattern):
            shutil.copy(file, to)


def _learnt_on(run: Path, name: str) -> tuple[str, bool]:
    """Return the base model of the weights `name`, as the experiment says it; whether in 4 bits."""
    try:
        experiment = understood(source(run / RESOLVED).data, run)
    except ValidationError as error:
        raise InputError(f"{run / RESOLVED}: can't be read: {first(error)}") from None
    learners = experiment.people().learners()
    model = experiment.engines[learners[name][0].engine].trains if name in learners else None
    if model is None:
        raise MootError(f"{run}: its experiment.yaml knows no weights '{name}'")
    return model, experiment.fit.quantized


def _card(readings: Readings, weights: Weights, model: str) -> Iterator[str]:
    """Yield the model card, a line each: what is known of the run, and nothing else."""
    experiment = readings.experiment
    method = experiment.get("method") or {}
    on = " and ".join(_taught(method, experiment["protocol"]))
    named = CATALOGUE[model].hub if model in CATALOGUE else model
    yield from ("---", f"base_model: {named}", "library_name: transformers")
    yield from ("tags: [moot, self-alignment]", "---", "")
    yield f"# {experiment['name']}: {weights.name}, version {weights.version}"
    yield ""
    yield f"Learnt from `{named}` by Moot: method `{method.get('kind')}` on {on},"
    yield f"in {_cycles(weights.version, readings.cycles)}, seed {readings.seed}."
    yield ""
    yield from _measured(readings.metrics, weights)
    yield from ("## The experiment", "", "```yaml", readings.resolved.rstrip(), "```")


def _cycles(some: int, of: int) -> str:
    """Return in how many of a run's cycles a version was made."""
    if some < of:
        return f"the first {some} of {of} cycles" if some > 1 else f"the first of {of} cycles"
    return f"{some} cycle{'' if some == 1 else 's'}"


def _taught(method: dict[str, Any], protocol: dict[str, Any]) -> Iterator[str]:
    """Yield what a method learnt from: what was said, unless a file had it all, and the file."""
    if method.get("talk", True):
        yield f"what the protocol `{protocol['kind']}` gave"
    file = method.get("file") or (method.get("model") or {}).get("file")
    if file:
        yield f"the file `{Path(file).name}`"


def _measured(metrics: Sequence[dict[str, Any]], weights: Weights) -> Iterator[str]:
    told = [m for m in metrics if m["name"].startswith("held_out/")]
    # Where several learnt, what bears no name is of them all.
    own = f"@{weights.name}" if any("@" in m["name"] for m in told) else ""
    rows = [m for m in told if m["name"].endswith(own) and m["cycle"] in (0, weights.version)]
    if not rows:
        return
    yield from ("## Measured on held-out tasks", "", "| | version | value | 95 % interval |")
    yield "|---|---|---|---|"
    for m in sorted(rows, key=lambda m: (m["name"], m["cycle"])):
        known = m["low"] is not None and m["high"] is not None
        interval = f"{m['low']:.3f} to {m['high']:.3f}" if known else ""
        name = m["name"].removeprefix("held_out/").removesuffix(own)
        yield f"| {name} | {m['cycle']} | {m['value']:.3f} | {interval} |"
    yield ""
