"""Preferences, from what a protocol concluded or from a file: pairs to learn from."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

from moot.agents.errors import InputError
from moot.protocols.types import Episode, Preference

from . import parquet
from .chats import prompt, reply, shared, wrong
from .examples import EVERYONE, Pair, Said, Shown, said

SIDES = ("chosen", "rejected")
Row = Mapping[str, Any]
E = TypeVar("E", Pair, Shown)


def pairs(episode: Episode, sure: float = 0.5) -> list[Pair]:
    """Return the preferences of an episode that are at least as `sure` as said.

    Both sides are taken as replies to the prompt that the preference names.  A tie, which is as
    likely one way as the other, is no preference.
    """
    return [
        pair(episode, one)
        for one in episode.outcome.preferences
        if one.probability >= sure and one.probability != 0.5
    ]


def pair(episode: Episode, one: Preference) -> Pair:
    """Return what a preference of an episode compares, at temperature 1: it is of the policy."""
    asked, better, worse = (episode.turns[i] for i in (one.asked, one.chosen, one.rejected))
    weights = (turn.agent.weights for turn in (better, worse))
    return Pair(
        episode=episode.id,
        turns=(one.chosen, one.rejected),
        agents=(better.agent.name, worse.agent.name),
        speakers=tuple(dict.fromkeys(name for name in weights if name is not None)),
        chosen=replace(said(better, asked), temperature=1.0),
        rejected=replace(said(worse, asked), temperature=1.0),
        probability=one.probability,
        judges=one.by,
    )


def read(path: Path, sure: float = 0.5) -> Iterator[Pair]:
    """Yield the preferences in a Parquet or JSON Lines file that are at least as `sure` as said.

    Its columns are TRL's, and ties are left out, as `pairs` leaves them out; a reply that is set
    beside itself ties.

    A row has `prompt`, `chosen` and `rejected`, each a text or a list of messages with `role` and
    `content`, of which a reply is the assistant's one, alone or after the whole prompt; and perhaps
    `probability`, that the chosen one is the better, and `margin`.  Without a `prompt` it is the
    messages that both replies begin with.  Texts without one are refused: where TRL parts them,
    after the last character that is alike, may be within a word.

    Raises:
        InputError: the file can't be read or is empty, or a row is not as it should be: which, and
            why.
    """
    for found in records(path, "preferences", _pair):
        if found.probability >= sure and found.probability != 0.5:
            yield found


def records(path: Path, what: str, made: Callable[[Row, str], E]) -> Iterator[E]:
    """Yield what is made of each row of a Parquet or JSON Lines file, and of the row's own name.

    Raises:
        InputError: the file can't be read or holds nothing of `what` it should, or a row is not as
            it should be, of which `made` raises a `ValueError`.
    """
    number = 0
    try:
        for number, record in enumerate(
            _parquet(path) if path.suffix == ".parquet" else _lines(path), start=1
        ):
            yield _made(path, number, record, made)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except ValueError as error:
        raise InputError(f"{path}: can't be read: {error}") from None
    if not number:
        raise InputError(f"{path}: no {what} in it: expected a row for each")


def _parquet(path: Path) -> Iterator[Any]:
    with path.open("rb") as opened, parquet.opened(opened) as file:
        yield from parquet.rows(file)


def _lines(path: Path) -> Iterator[Any]:
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    yield json.loads(line)
                except json.JSONDecodeError as error:
                    raise ValueError(f"line {number} is no JSON: {error}") from None


def _made(path: Path, number: int, record: Any, made: Callable[[Row, str], E]) -> E:
    try:
        if not isinstance(record, Mapping):
            raise ValueError(f"expected a mapping, got {type(record).__name__}")
        return made(cast(Row, record), f"{path.name}/{number}")
    except ValueError as error:
        raise InputError(f"{path}: row {number}: {error}") from None


def _pair(row: Row, name: str) -> Pair:
    asked = shared(row, SIDES) if row.get("prompt") is None else prompt(row)
    probability = _number(row, "probability", usual=1.0)
    if not 0.5 <= probability <= 1:
        raise ValueError(f"probability: expected a number in [0.5, 1], got {probability:g}")
    margin = _number(row, "margin", usual=0.0)
    chosen, rejected = (reply(row, key, asked) for key in SIDES)
    if chosen == rejected:  # large sets have some
        probability = 0.5
    return Pair(
        episode=name,
        turns=(0, 1),
        agents=("", ""),
        speakers=EVERYONE,
        chosen=Said(asked, chosen),
        rejected=Said(asked, rejected),
        probability=probability,
        margin=margin,
    )


def _number(row: Row, key: str, usual: float) -> float:
    value = row.get(key)
    if value is None:
        return usual
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not abs(value) <= sys.float_info.max:  # nor is nan, which compares with none
        raise wrong(key, "expected a number", value)
    return float(value)
