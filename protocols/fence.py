"""Prompts from parts.  What an agent said is fenced: it is data, and can't speak as anyone."""

import re
from collections.abc import Sequence

from moot.agents.types import Message, Prompt

from .types import Turn

TURNS = re.compile(
    r"(?<=<)(?=[|｜]|/?s>|[be]os>|(?:start|end)_of_turn>)|(?<=\[)(?=/?INST\]|/?SYSTEM_PROMPT\])",
    re.IGNORECASE,
)
"""Where the marks begin by which models' chat templates tell whose turn it is."""
JOINER = "\u2060"


def fenced(tag: str, text: str, number: int, by: str | None = None) -> str:
    """Return `text` between <tag number="..." by="..."> and </tag>, which it can't close by itself.

    What would close it, or begin a turn of its own when it is tokenised, is broken by a character
    that isn't seen; all else stays as it was said.
    """
    closing = rf"<(?=\s*/?\s*{re.escape(tag)}\b)"
    inside = re.sub(closing, "<" + JOINER, text, flags=re.IGNORECASE) if "<" in text else text
    who = f' by="{by}"' if by is not None else ""
    return f'<{tag} number="{number}"{who}>\n{unmarked(inside).strip()}\n</{tag}>'


def numbered(tag: str, turns: Sequence[Turn]) -> str:
    """Return what was said in the turns, each fenced, with numbers from 1."""
    return "\n".join(fenced(tag, turn.text, i) for i, turn in enumerate(turns, 1))


def filled(wording: str, **fields: str) -> str:
    """Return `wording` with each {name} replaced; a {name} inside what is put in stays as it is."""
    names = "|".join(map(re.escape, fields))
    return re.sub(rf"\{{({names})\}}", lambda found: fields[found[1]], wording)


def unmarked(text: str) -> str:
    """Return `text` with every mark broken that would begin a turn when it is tokenised."""
    return TURNS.sub(JOINER, text) if "<" in text or "[" in text else text  # most have neither


def exchange(asked: str, turn: Turn) -> Prompt:
    """Return what was asked and answered as two messages of a chat."""
    return Message("user", asked), Message("assistant", unmarked(turn.text))
