"""What pydantic finds wrong, in the words of a person who wrote the file."""

import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from moot.agents import types
from moot.agents.errors import near
from moot.agents.own_class import NAMED, own_class
from moot.training.policy_gradient.algorithms import LIKE

from .source import Source, Steps

EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
    "greater_than_equal": "a number ≥ {ge}",
    "greater_than": "a number > {gt}",
    "less_than_equal": "a number ≤ {le}",
    "less_than": "a number < {lt}",
    "too_short": "at least {min_length} of them",
    "string_too_short": "text that is not empty",
    "string_too_long": "at most {max_length} characters",
    "string_pattern_mismatch": "{wording}",
    "literal_error": "{expected}",
    "union_tag_invalid": "one of {expected_tags}",
}

WORDINGS = {
    r"\{answers\}": "text that holds {answers}",
    r"\{prompt\}": "text that holds {prompt}",
    r"\{others\}": "text that holds {others}",
    r"^[A-Za-z0-9][A-Za-z0-9_.-]*$": "a name of letters, digits, '.', '_' and '-'",
    r"^[A-Za-z_][A-Za-z0-9_]*$": "the name of an environment variable",
}
"""Patterns that stand in our models, for people."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """One thing that is wrong."""

    path: Steps
    place: str
    wanted: str
    """What was expected; or, where `got` is `None`, all there is to say."""
    got: str | None = None
    hint: str = ""


def lines(error: ValidationError, source: Source, model: type[BaseModel]) -> list[tuple[str, str]]:
    """Return (place, message) for each thing that is wrong."""
    everything = [wrong for one in error.errors() for wrong in _wrong(one, source, model)]
    found: list[tuple[str, str]] = []
    for wrong in dict.fromkeys(everything):
        dotted = ".".join(map(str, wrong.path)) or "the file"
        if wrong.got is None:
            found.append((wrong.place, f"{dotted}: {wrong.wanted}"))
            continue
        # Each member of a union finds the same thing wrong, in its own way.
        same = [w.wanted for w in everything if (w.path, w.got) == (wrong.path, wrong.got)]
        wanted = " or ".join(dict.fromkeys(same))
        found.append((wrong.place, f"{dotted}: expected {wanted}, got {wrong.got}{wrong.hint}"))
    return list(dict.fromkeys(found))


def _wrong(one: Any, source: Source, model: type[BaseModel]) -> Iterator[Wrong]:
    """Yield what one of pydantic's errors says; nothing where it only follows from another."""
    location, kind = one["loc"], one["type"]
    path = steps(location, source.data)
    place = source.place(path)
    context = {name: _whole(value) for name, value in one.get("ctx", {}).items()}
    got, hint = shown(one["input"]), ""
    match kind:
        case "extra_forbidden":
            known = {
                name for m in _models_at(model, location[:-1], source) for name in m.model_fields
            }
            yield Wrong(path, source.key(path), f"unknown key{near(str(path[-1]), known)}")
            return
        case "missing":
            yield Wrong((*path, location[-1]), place, "is missing")
            return
        case "union_tag_not_found":
            kinds = ", ".join(f"'{k}'" for k in _kinds(_models_at(model, location, source)))
            yield Wrong((*path, "kind"), place, f"is missing; one of {kinds}")
            return
        case "value_error" | "assertion_error":
            yield Wrong(path, place, str(context["error"]))
            return
        case types.UNUSED:
            yield Wrong(path, place, str(one["msg"]))
            return
        case "too_short" if len(one["input"]) >= context["min_length"]:
            return  # an entry of it is wrong
        case "union_tag_invalid":
            path, got = (*path, "kind"), shown(str(context["tag"]))
            place = source.place(path)
            hint = near(str(context["tag"]), _named(context["expected_tags"]), show=False)
            algorithm = str(context["tag"]).casefold().replace("-", "_")
            if path[0] == "method" and algorithm in LIKE:
                hint = f"; that is an objective, as in `{{kind: cat, objective: {algorithm}}}`"
        case "model_attributes_type" if isinstance(one["input"], str):
            kinds = _kinds(_models_at(model, location, source))
            kind_named = one["input"] if one["input"] in kinds else "..."
            hint = f"; write `{{kind: {kind_named}}}`" if kinds else ""
        case "literal_error" if isinstance(one["input"], str):
            options = str(context["expected"]).replace(" or ", ",")
            hint = near(one["input"], _named(options), show=False)
        case "string_pattern_mismatch":
            pattern = str(context["pattern"])
            context["wording"] = WORDINGS.get(pattern, f"text that matches {pattern}")
        case _:
            pass
    wanted = EXPECTED[kind].format(**context) if kind in EXPECTED else str(one["msg"])
    yield Wrong(path, place, wanted, got, hint)


def _whole(value: Any) -> Any:
    """Return a bound without the decimals that it doesn't need."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _named(options: str) -> list[str]:
    return [option.strip("' ") for option in options.split(",")]


def shown(value: Any) -> str:
    """Return a value as an error shows it: short, and in YAML's words."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case dict():
            return "a mapping" if value else "an empty mapping"
        case tuple():
            return f"a list of {len(value)}" if value else "an empty list"
        case str():
            return repr(value if len(value) <= 60 else value[:59] + "…")
        case _:
            return str(value)


def steps(location: tuple[int | str, ...], data: Any) -> Steps:
    """Return the steps of a location that are in the data: pydantic adds union members to it."""
    path: Steps = ()
    for step in location:
        inside: Any = dict(enumerate(data)) if isinstance(data, tuple | list) else data
        if isinstance(inside, dict) and step in inside:
            data, path = inside[step], (*path, step)
    return path


def _models_at(
    model: type[BaseModel], location: tuple[int | str, ...], source: Source
) -> Iterable[type[BaseModel]]:
    """Return the models that the mapping at a location may be of."""
    candidates = [model]
    for i, step in enumerate(location):
        fields = [f for m in candidates for n, f in m.model_fields.items() if n == step]
        tagged = [m for m in candidates if step in _kinds([m])]
        if tagged:
            candidates = tagged
        elif fields:
            candidates = [m for f in fields for m in _models(f.annotation)]
        one_of_many = len(_kinds(candidates)) > 1
        if one_of_many and (mine := _own(steps(location[: i + 1], source.data), source)):
            candidates = [mine]
    return candidates


def _own(path: Steps, source: Source) -> type[BaseModel] | None:
    """Return the class of the user's own that a mapping is of, if it is of one."""
    data = source.data
    for step in path:
        data = data[step]
    kind = data.get("kind") if isinstance(data, Mapping) else None
    if not isinstance(kind, str) or not NAMED.fullmatch(kind):
        return None
    return own_class(kind, Path(source.name).resolve().parent)


def _kinds(models: Iterable[type[BaseModel]]) -> Mapping[str, type[BaseModel]]:
    return {
        kind: model
        for model in models
        if "kind" in model.model_fields
        for kind in typing.get_args(model.model_fields["kind"].annotation)
    }


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for part in typing.get_args(annotation) for m in _models(part)]
