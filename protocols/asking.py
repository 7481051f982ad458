"""Asking for what can be read: one of some choices, or JSON of a shape.

An engine that can hold a reply to its form does; any other's is read with care.  What still can't
be read is asked for once more, and then it is `None`: an abstention, never a default.  So is a
person's word that they won't say, who isn't asked again.
"""

import json
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from .reading import named
from .types import Say, Turn

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

CHOICE_AGAIN = "Your last reply could not be read. Reply with nothing but one of: {choices}."
SHAPE_AGAIN = "Your last reply could not be read. Reply with nothing but JSON in the form above."

MOST_TRIES = 200
"""So many places at which no JSON object begins, though it looks so, are borne in one text."""
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


def shaped(
    says: Sequence[Say], model: type[M], fits: Callable[[M], bool] = lambda found: True
) -> Wishes[list[Reply[M]]]:
    """Ask each for JSON that `model` takes, and that `fits`; return what it took.

    The prompts must show the form.  An engine that can be held to it is, the first time; held to it
    some models never end, so the second time they may speak freely.
    """
    shape = json.dumps(model.model_json_schema())
    formed = [replace(say, shape=shape) for say in says]

    def read(say: Say, turn: Turn) -> M | None:
        found = parsed(turn.text, model)
        return found if found is not None and fits(found) else None

    return asked(formed, read, _shape_again)


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
    unread = [i for i, reply in enumerate(found) if reply.read is None and not _declined(reply)]
    if unread:
        repeated = [again(says[i]) for i in unread]
        turns = yield repeated
        for i, say, turn in zip(unread, repeated, turns, strict=True):
            found[i] = Reply(turn, read(say, turn))
    return found


def _declined(reply: Reply[T]) -> bool:
    """Return whether whoever was asked won't say, and needn't be asked again."""
    return reply.turn.completion.finish == "declined"


def _choice_again(say: Say) -> Say:
    wording = CHOICE_AGAIN.format(choices=", ".join(say.choices))
    return replace(say, text=f"{say.text}\n\n{wording}")


def _shape_again(say: Say) -> Say:
    return replace(say, text=f"{say.text}\n\n{SHAPE_AGAIN}", shape="")


def weighed(turn: Turn, choices: Sequence[str]) -> tuple[float, ...] | None:
    """Return how likely `turn` makes each choice, together 1; `None`: it makes none.

    Without probabilities from the engine the choice that was named has all.
    """
    shares = turn.completion.shares
    if len(shares) == len(choices):
        return shares
    found = named(turn.text, choices, cut=turn.completion.finish == "length")
    return None if found is None else tuple(float(choice == found) for choice in choices)


def parsed(text: str, model: type[M]) -> M | None:
    """Return the last JSON object in `text` that `model` takes; `None`: there is none."""
    for value in objects(text):
        try:
            return model.model_validate(value)
        except ValidationError:
            continue
    return None


def _whole(value: Any) -> Any:
    """Return a JSON value with "?" for halves of surrogate pairs, which are no characters."""
    return json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))


def objects(text: str) -> Iterator[dict[str, Any]]:
    """Return the JSON objects in `text`, the last first; none that is inside another."""
    decoder = json.JSONDecoder()
    found: list[dict[str, Any]] = []
    place, failed = text.find("{"), 0
    while place >= 0 and failed < MOST_TRIES:
        try:
            value, end = decoder.raw_decode(text, place)
            found.append(_whole(value))
        except (ValueError, RecursionError):
            end, failed = place + 1, failed + 1
        place = text.find("{", end)
    return reversed(found)
