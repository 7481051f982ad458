"""Asking for what can be read: one of some choices, or JSON of a shape.

An engine that can hold a reply to its form does; any other's is read with care.  What still can't
be read is asked for once more, and then it is `None`: an abstention, never a default.
"""

import json
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from .types import Say, Turn

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

CHOICE_AGAIN = "Your last reply could not be read. Reply with nothing but one of: {choices}."
SHAPE_AGAIN = "Your last reply could not be read. Reply with nothing but JSON in the form above."

MOST_TRIES = 200
"""So many places at which no JSON object begins, though it looks so, are borne in one text."""
MARKED = re.compile(r"(?:answer|choice|verdict|score|rating)\s*(?:is\b|:|=)\s*:?\W*", re.IGNORECASE)

Wishes = Generator[list[Say], list[Turn], T]
"""A part of a script, which comes to a `T`: `found = yield from part`."""

TRIES = 2
"""How often someone is asked at most."""


@dataclass(frozen=True, slots=True)
class Reply(Generic[T]):
    """What was said, and what it was read as."""

    turn: Turn
    """The last one, where it was asked twice."""
    read: T | None
    """`None`: an abstention."""


def choose(says: Sequence[Say]) -> Wishes[list[Reply[tuple[float, ...]]]]:
    """Ask each for one of its choices; return how likely each choice is, together 1."""
    return asked(says, lambda say, turn: weighed(turn, say.choices), _choice_again)


def shaped(says: Sequence[Say], model: type[M]) -> Wishes[list[Reply[M]]]:
    """Ask each for JSON that `model` takes; return what it took.

    The prompts must show the form; engines that can are held to it as well, but for the second
    time: what an engine could not do within its bounds may be done freely.
    """
    shape = json.dumps(model.model_json_schema())
    formed = [replace(say, shape=shape) for say in says]
    return asked(formed, lambda say, turn: parsed(turn.text, model), _shape_again)


def asked(
    says: Sequence[Say], read: Callable[[Say, Turn], T | None], again: Callable[[Say], Say]
) -> Wishes[list[Reply[T]]]:
    """Ask; ask those who can't be read as `again` says; return the replies in the order of `says`.

    Nobody is asked where there are no `says`.
    """
    if not says:
        return []
    turns = yield list(says)
    found = [Reply(turn, read(say, turn)) for say, turn in zip(says, turns, strict=True)]
    unread = [i for i, reply in enumerate(found) if reply.read is None]
    if unread:
        repeated = [again(says[i]) for i in unread]
        turns = yield repeated
        for i, say, turn in zip(unread, repeated, turns, strict=True):
            found[i] = Reply(turn, read(say, turn))
    return found


def _choice_again(say: Say) -> Say:
    wording = CHOICE_AGAIN.format(choices=", ".join(say.choices))
    return replace(say, text=f"{say.text}\n\n{wording}")


def _shape_again(say: Say) -> Say:
    return replace(say, text=f"{say.text}\n\n{SHAPE_AGAIN}")


def weighed(turn: Turn, choices: Sequence[str]) -> tuple[float, ...] | None:
    """Return how likely `turn` makes each choice, together 1; `None`: it makes none.

    Without probabilities from the engine the choice that was named has all.
    """
    shares = turn.completion.shares
    if len(shares) == len(choices):
        return shares
    found = named(turn.text, choices)
    return None if found is None else tuple(float(choice == found) for choice in choices)


def named(text: str, choices: Sequence[str]) -> str | None:
    """Return the choice that `text` names; `None`: none, or it isn't clear which.

    It is all that is said; or what the reply begins with; or what the last "answer:" introduces; or
    the only one that is mentioned at all.  Letter case doesn't matter.
    """
    words = "|".join(re.escape(c) for c in sorted(choices, key=len, reverse=True))
    one = re.compile(rf"(?<![\w.-])(?:{words})(?![\w-]|[.,/]\d)", re.IGNORECASE)
    by_name = {choice.casefold(): choice for choice in choices}
    mentioned = [by_name.get(found[0].casefold()) for found in one.finditer(text)]
    if len(set(mentioned)) <= 1:
        return mentioned[0] if mentioned else None
    marks = list(MARKED.finditer(text))
    places = [mark.end() for mark in reversed(marks)] + [len(text) - len(text.lstrip(" \n*\"'(["))]
    for place in places:
        if (found := one.match(text, place)) is not None:
            return by_name.get(found[0].casefold())
    return None


def parsed(text: str, model: type[M]) -> M | None:
    """Return the last JSON object in `text` that `model` takes; `None`: there is none."""
    for value in _objects(text):
        try:
            return model.model_validate(value)
        except ValidationError:
            continue
    return None


def _objects(text: str) -> Iterator[Any]:
    """Return the JSON objects in `text`, the last first; none that is inside another."""
    decoder = json.JSONDecoder()
    found: list[Any] = []
    place, failed = text.find("{"), 0
    while place >= 0 and failed < MOST_TRIES:
        try:
            value, end = decoder.raw_decode(text, place)
            found.append(value)
        except (ValueError, RecursionError):
            end, failed = place + 1, failed + 1
        place = text.find("{", end)
    return reversed(found)
