"""Preferences, from what a protocol concluded or from a file: pairs to learn from."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from moot.protocols.types import Episode, Preference

from . import records
from .chats import finish, prompt, reply, shared, words_alone, wrong
from .examples import EVERYONE, Pair, Said, said
from .records import Row

SIDES = ("chosen", "rejected")


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
    `probability`, that the chosen one is the better, `margin`, and `chosen_finish` and
    `rejected_finish`, how they ended.  Without a `prompt` it is the messages that both replies
    begin with.  Texts without one are refused: where TRL parts them, after the last character that
    is alike, may be within a word.

    Raises:
        InputError: the file can't be read or is empty, or a row is not as it should be: which, and
            why.
    """
    for found in records.read(path, "preferences", _pair):
        if found.probability >= sure and found.probability != 0.5:
            yield found


def _pair(row: Row, name: str) -> Pair:
    words_alone(row)
    asked = shared(row, SIDES) if row.get("prompt") is None else prompt(row)
    probability = _number(row, "probability", usual=1.0)
    if not 0.5 <= probability <= 1:
        raise ValueError(f"probability: expected a number in [0.5, 1], got {probability:g}")
    margin = _number(row, "margin", usual=0.0)
    chosen, rejected = (
        Said(asked, reply(row, key, asked), finish=finish(row, f"{key}_finish")) for key in SIDES
    )
    if chosen.text == rejected.text:  # large sets have some
        probability = 0.5
    return Pair(
        episode=name,
        turns=(0, 1),
        agents=("", ""),
        speakers=EVERYONE,
        chosen=chosen,
        rejected=rejected,
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
