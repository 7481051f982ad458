"""What pydantic finds wrong, in the words of a person who wrote the file."""

import difflib
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

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
    "string_pattern_mismatch": "text that matches {pattern}",
    "literal_error": "{expected}",
    "union_tag_invalid": "one of {expected_tags}",
    "union_tag_not_found": "a mapping with a kind",
}


def lines(error: ValidationError, source: Source, model: type[BaseModel]) -> list[tuple[str, str]]:
    """Return (place, message) for each thing that is wrong."""
    found: list[tuple[str, str]] = []
    for one in error.errors(include_url=False):
        path = _path(one["loc"], source.data)
        dotted = ".".join(map(str, path)) or "the file"
        context: Mapping[str, Any] = one.get("ctx", {})
        match one["type"]:
            case "extra_forbidden":
                place = source.place((*path, "key")) if (*path, "key") in source.places else ""
                known = _keys(model, one["loc"][:-1])
                text = f"{dotted}: unknown key{near(str(path[-1]), known)}"
                found.append((place or source.place(path), text))
            case "missing":
                found.append(
                    (
                        source.place(path),
                        f"{dotted}.{one['loc'][-1]}: is missing"
                        if path
                        else f"{one['loc'][-1]}: is missing",
                    )
                )
            case "value_error":
                found.append((source.place(path), f"{dotted}: {context['error']}"))
            case kind:
                wanted = EXPECTED.get(kind, one["msg"]).format(**context)
                got = shown(one["input"])
                hint = ""
                if kind == "union_tag_invalid":
                    options = [t.strip("' ") for t in context["expected_tags"].split(",")]
                    path, got = (*path, "kind"), f"'{context['tag']}'"
                    dotted, hint = f"{dotted}.kind", near(str(context["tag"]), options, show=False)
                elif kind == "literal_error" and isinstance(one["input"], str):
                    options = [
                        o.strip("' ") for o in context["expected"].replace(" or ", ",").split(",")
                    ]
                    hint = near(one["input"], options, show=False)
                found.append((source.place(path), f"{dotted}: expected {wanted}, got {got}{hint}"))
    return found


def near(name: str, known: Iterable[str], *, show: bool = True) -> str:
    """Return `; did you mean 'x'?`, or what there is where nothing comes near."""
    options = sorted(known)
    if close := difflib.get_close_matches(name, options, n=1):
        return f"; did you mean '{close[0]}'?"
    return f"; there are {', '.join(options)}" if show and options else ""


def shown(value: Any) -> str:
    """Return a value as an error shows it: short, and in YAML's words."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case dict():
            return "a mapping"
        case tuple():
            return f"a list of {len(value)}"
        case str():
            return repr(value if len(value) <= 60 else value[:59] + "…")
        case _:
            return str(value)


def _path(location: tuple[int | str, ...], data: Any) -> Steps:
    """Return the steps of a location that are in the data: pydantic adds union members to it."""
    path: Steps = ()
    for step in location:
        inside: Any = dict(enumerate(data)) if isinstance(data, tuple) else data
        if isinstance(inside, dict) and step in inside:
            data, path = inside[step], (*path, step)
    return path


def _keys(model: type[BaseModel], location: tuple[int | str, ...]) -> set[str]:
    """Return the keys that the mapping at a location may have."""
    candidates = [model]
    for step in location:
        fields = [f for m in candidates for n, f in m.model_fields.items() if n == step]
        tagged = [m for m in candidates if (k := m.model_fields.get("kind")) and k.default == step]
        if tagged:
            candidates = tagged
        elif fields:
            candidates = [m for f in fields for m in _models(f.annotation)]
    return {name for m in candidates for name in m.model_fields}


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for part in typing.get_args(annotation) for m in _models(part)]
