"""Chats in the rows of a file, in TRL's columns: what was asked, and what the assistant replied."""

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any, TypeGuard, cast, get_args, get_type_hints

from moot.agents.types import HALF, Message, Prompt

ROLES = get_args(get_type_hints(Message)["role"])
FINISHES = ("stop", "length")
REPLY = "expected a text, or one message of the assistant, with the prompt before it or not"
WHOLE = (
    "expected a list of messages, the prompt's and then one of the assistant (a text needs a "
    "`prompt` beside it)"
)
BEGUN = (
    "expected another's message last, for a reply is a whole message of the assistant: put the "
    "words that it begins with into the replies"
)
ALONE = (
    "expected messages of role and content alone: put what `{}` holds into the content, as the "
    "chat template writes it, or leave it out"
)
UNTOLD = "expected none: put what the chat template makes of it into the prompt, or leave it out"
EMPTY: tuple[Any, ...] = (None, "", [], {})
"""What says nothing: Parquet has a key that one message has in all of them."""


def words_alone(row: Mapping[str, Any]) -> None:
    """Raise where a row holds what a chat template would put between the words.

    Raises:
        ValueError: it has tools, or options of the chat template.
    """
    for key in ("tools", "chat_template_kwargs"):
        if row.get(key) not in EMPTY:
            raise wrong(key, UNTOLD, row[key])


def prompt(row: Mapping[str, Any]) -> Prompt:
    """Return the `prompt` of a row: a text, which is the user's, or a list of messages.

    Raises:
        ValueError: it is neither, or ends with the assistant's words: as a chat template has it, a
            reply is a message of its own.
    """
    value = row.get("prompt")
    asked = (Message("user", value),) if value and is_whole(value) else messages(row, "prompt")
    if not asked:
        raise wrong("prompt", "expected a text or a list of messages with role and content", value)
    return _ready(asked, value)


def shared(row: Mapping[str, Any], keys: Sequence[str]) -> Prompt:
    """Return what the whole conversations `keys` of a row begin with alike, before their replies.

    Raises:
        ValueError: one isn't a list of messages that ends with the assistant's, they don't begin
            alike, or what they begin with ends with the assistant's too.
    """
    whole = [messages(row, key) for key in keys]
    for key, chat in zip(keys, whole, strict=True):
        if not chat or chat[-1].role != "assistant":
            raise wrong(key, WHOLE, row.get(key))
    alike = takewhile(lambda said: len(set(said)) == 1, zip(*(c[:-1] for c in whole), strict=False))
    asked = tuple(said[0] for said in alike)
    if not asked:
        begin = f"{' and '.join(keys)} begin with before a reply"
        raise ValueError(f"prompt: there is none that {begin}: expected it there, or beside them")
    return _ready(asked, whole[0])


def reply(row: Mapping[str, Any], key: str, asked: Prompt) -> str:
    """Return what is replied: a text, or the assistant's message, alone or after the prompt.

    It may be empty: the end of its turn, and nothing before it.

    Raises:
        ValueError: it is something else.
    """
    value = row.get(key)
    said = messages(row, key)
    own = said and said[-1].role == "assistant" and said[:-1] in ((), asked)
    text = said[-1].content if own else value
    if not is_whole(text):
        raise wrong(key, REPLY, value)
    return text


def finish(row: Mapping[str, Any], key: str) -> str:
    """Return how a reply ended: `stop`, or `length` where it was cut and its end isn't its own.

    Raises:
        ValueError: it is something else.
    """
    value = row.get(key)
    if value not in (None, *FINISHES):
        raise wrong(key, f"expected {' or '.join(FINISHES)}", value)
    return value or "stop"


def messages(row: Mapping[str, Any], key: str) -> Prompt:
    """Return a column's list of messages as they are; none: it isn't one.

    Raises:
        ValueError: one of them has more than its role and content, such as tool calls.
    """
    try:
        said = cast(list[dict[str, Any]], row.get(key))
        for name, held in ((n, held) for m in said if m["role"] for n, held in m.items()):
            if name not in ("role", "content") and held not in EMPTY:
                raise wrong(key, ALONE.format(name), held)
        read = all(m["role"] in ROLES and is_whole(m["content"]) for m in said)
        return tuple(Message(m["role"], m["content"]) for m in said) if read else ()
    except (TypeError, KeyError):
        return ()


def is_whole(value: Any) -> TypeGuard[str]:
    """Return whether it is a text, all of it in whole characters."""
    return isinstance(value, str) and not HALF.search(value)


def wrong(key: str, expected: str, value: Any) -> ValueError:
    """Return the error of a column, in one line that is not too long."""
    return ValueError(f"{key}: {expected}, got {repr(value)[:150]}")


def _ready(asked: Prompt, value: Any) -> Prompt:
    if asked[-1].role == "assistant":
        raise wrong("prompt", BEGUN, value)
    return asked
