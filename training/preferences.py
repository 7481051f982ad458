"""Preferences, from what a protocol concluded or from a file: pairs to learn from."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeGuard, cast, get_args, get_type_hints

from moot.agents.errors import InputError
from moot.agents.types import HALF, Message, Prompt
from moot.protocols.types import Episode, Preference

from . import parquet
from .examples import EVERYONE, Pair, Said, said

ROLES = get_args(get_type_hints(Message)["role"])


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
    `probability`, that the chosen one is the better, and `margin`.

    Raises:
        InputError: the file can't be read or is empty, or a row is not as it should be: which, and
            why.
    """
    number = 0
    try:
        for number, record in enumerate(
            _parquet(path) if path.suffix == ".parquet" else _lines(path), start=1
        ):
            found = _pair(path, number, record)
            if found.probability >= sure and found.probability != 0.5:
                yield found
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except ValueError as error:
        raise InputError(f"{path}: can't be read: {error}") from None
    if not number:
        raise InputError(f"{path}: no preferences in it: expected a row for each")


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


def _pair(path: Path, number: int, record: Any) -> Pair:
    if not isinstance(record, Mapping):
        raise InputError(f"{path}: row {number}: expected a mapping, got {type(record).__name__}")
    row = cast(Mapping[str, Any], record)
    prompt = _prompt(path, number, row.get("prompt"))
    probability = _number(path, number, row, "probability", usual=1.0)
    if not 0.5 <= probability <= 1:
        wrong = f"expected a number in [0.5, 1], got {probability:g}"
        raise InputError(f"{path}: row {number}: probability: {wrong}")
    margin = _number(path, number, row, "margin", usual=0.0)
    chosen, rejected = (_reply(path, number, row, key, prompt) for key in ("chosen", "rejected"))
    if chosen == rejected:  # large sets have some
        probability = 0.5
    return Pair(
        episode=f"{path.name}/{number}",
        turns=(0, 1),
        agents=("", ""),
        speakers=EVERYONE,
        chosen=Said(prompt, chosen),
        rejected=Said(prompt, rejected),
        probability=probability,
        margin=margin,
    )


def _number(path: Path, number: int, row: Mapping[str, Any], key: str, usual: float) -> float:
    value = row.get(key)
    if value is None:
        return usual
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{path}: row {number}: {key}: expected a number, got {value!r}"[:300])
    return float(value)


def _prompt(path: Path, number: int, prompt: Any) -> Prompt:
    messages = (Message("user", prompt),) if _is_text(prompt) and prompt else _messages(prompt)
    if not messages:
        wrong = "expected a text or a list of messages with role and content"
        raise InputError(f"{path}: row {number}: prompt: {wrong}, got {prompt!r}"[:300])
    return messages


def _messages(value: Any) -> Prompt:
    """Return a list of messages as they are; none: it isn't one."""
    try:
        said = cast(list[dict[str, Any]], value)
        read = all(m["role"] in ROLES and _is_text(m["content"]) for m in said)
        return tuple(Message(m["role"], m["content"]) for m in said) if read else ()
    except (TypeError, KeyError):
        return ()


def _is_text(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and not HALF.search(value)


def _reply(path: Path, number: int, row: Mapping[str, Any], key: str, prompt: Prompt) -> str:
    """Return what is replied: a text, or the assistant's message, alone or after the prompt."""
    reply = row.get(key)
    if isinstance(reply, list):
        said = _messages(cast(list[Any], reply))
        own = said and said[-1].role == "assistant" and said[:-1] in ((), prompt)
        reply = said[-1].content if own else None
    if not _is_text(reply) or not reply:
        wrong = "expected a text, or one message of the assistant, with the prompt before it or not"
        raise InputError(f"{path}: row {number}: {key}: {wrong}, got {row.get(key)!r}"[:300])
    return reply
