"""All that decides a run as plain data: as it is written, and as an earlier moot wrote it."""

from collections.abc import Mapping
from copy import deepcopy
from io import StringIO
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML

from moot.agents.types import UNUSED

from ..experiment import Experiment
from ..yaml.faults import steps
from .owned import address, intact


def described(experiment: Experiment) -> dict[str, Any]:
    """Return all that decides a run, every default written out, as plain data."""
    return experiment.model_dump(mode="json", exclude={"made_with"}, context=address)


def codes(experiment: Experiment) -> list[str]:
    """Return the classes of the user's own that it names, as FILE.py:CLASS, where they lie."""
    found: list[str] = []

    def note(code: str) -> str:
        found.append(code)
        return code

    experiment.model_dump(context=note)
    return found


def written(data: Mapping[str, Any]) -> str:
    """Return plain data as YAML, as it is written and read back."""
    yaml, text = YAML(), StringIO()
    yaml.default_flow_style = False
    yaml.dump(dict(data), text)
    return text.getvalue()


def leaves(experiment: Experiment) -> dict[str, Any]:
    """Return its description, flat; through YAML, which doesn't give every character back."""
    return flat(YAML(typ="safe", pure=True).load(written(described(experiment))))


def as_now(there: dict[str, Any], run: Path) -> dict[str, Any]:
    """Return an earlier moot's description, with the options that there are now at their defaults.

    One that no longer is an experiment is returned as it is.

    Args:
        there: what stands in a run's directory.
        run: the directory.
    """
    try:
        return leaves(understood(there, run))
    except ValidationError:
        return flat(there)


def unusual(there: dict[str, Any], run: Path) -> set[str]:
    """Return which leaves of an earlier moot's description aren't at their defaults."""
    try:
        found = understood(there, run)
    except ValidationError:
        return {*flat(there)}
    return {*flat(found.model_dump(mode="json", exclude={"made_with"}, exclude_defaults=True))}


def understood(there: Any, run: Path) -> Experiment:
    """Return the experiment that an earlier moot described in a run's directory.

    What it let pass, and is refused now since it changes nothing, is left out.

    Raises:
        ValidationError: it no longer is an experiment.
        InputError: code of the user's own that is kept there isn't what it was.
    """
    intact(run)
    try:
        return Experiment.model_validate(there, strict=False, context=run.resolve())
    except ValidationError as error:
        used = _used(there, error)
        if used == there:
            raise
        return understood(used, run)


def first(error: ValidationError) -> str:
    """Return the first thing that is wrong with a description, in a line."""
    one = error.errors()[0]
    said = one.get("ctx", {}).get("error") or one["msg"]
    return f"{'.'.join(map(str, one['loc']))}: {said}"


def _used(there: Any, error: ValidationError) -> Any:
    """Return a description without the options that `error` says mean nothing."""
    found = deepcopy(there)
    for one in error.errors():
        inside = found
        for step in steps(one["loc"], found):
            inside = inside[step]
        if one["type"] == UNUSED:
            inside.pop(one.get("ctx", {})["option"], None)
    return found


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """Return nested data as {dotted.path: leaf}."""
    if isinstance(value, dict) and value:
        items = [(str(key), child) for key, child in value.items()]
    elif isinstance(value, list) and value:
        items = [(str(i), child) for i, child in enumerate(value)]
    else:
        return {path: value}
    return {
        leaf: found
        for key, child in items
        for leaf, found in flat(child, f"{path}.{key}" if path else key).items()
    }
