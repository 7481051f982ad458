"""Fitting: what a person wrote, as it can be taken for a reply."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from ..types import Request

KINDS: Mapping[str, type | tuple[type, ...]] = {
    "array": list,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "object": dict,
    "string": str,
}
"""What JSON Schema's types are in Python."""


class Unfit(Exception):
    """A reply that can't be taken; its words are for who wrote it."""


def fitting(said: str, request: Request) -> str:
    """Return a reply without the space around it.

    Of JSON it is checked that the fields are there that the schema requires, and of which type each
    is; what is in them is for the protocol to judge.

    Raises:
        Unfit: it is empty, none of the choices, or not of the form that is wanted.
    """
    said = said.strip()
    if not said:
        raise Unfit("Write something.")
    if request.choices and said not in request.choices:
        raise Unfit(f"Choose one of {', '.join(request.choices)}.")
    if request.shape and (wrong := [*_amiss(said, json.loads(request.shape))]):
        raise Unfit(" ".join(wrong))
    return said


def _amiss(said: str, shape: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with JSON that is to have a shape."""
    try:
        found = json.loads(said)
    except (ValueError, RecursionError) as error:
        yield f"This is no JSON: {error}."
        return
    if not isinstance(found, dict):
        yield 'JSON in braces is wanted: {"...": ...}.'
        return
    fields = cast(dict[str, Any], found)
    for name in shape.get("required", ()):
        if name not in fields:
            yield f'"{name}" is missing.'
    for name, form in shape.get("properties", {}).items():
        kind = form.get("type")
        value = fields.get(name)
        wrong = isinstance(value, bool) != (kind == "boolean")
        if name in fields and kind in KINDS and (wrong or not isinstance(value, KINDS[kind])):
            yield f'"{name}" is to be of the type {kind}.'
