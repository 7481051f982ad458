"""Demonstrations in a file: replies to imitate."""

from collections.abc import Iterator
from pathlib import Path

from . import records
from .chats import finish, is_whole, prompt, reply, shared, words_alone, wrong
from .examples import EVERYONE, Said, Shown
from .records import Row


def read(path: Path) -> Iterator[Shown]:
    """Yield the demonstrations in a Parquet or JSON Lines file; its columns are TRL's.

    A row has `prompt` and `completion`, each a text or a list of messages with `role` and
    `content`, of which the completion is the assistant's one, alone or after the whole prompt.
    Without a completion, it is the last of the row's `messages`, and those before are the prompt.
    A row may have a `name`, what it is an example of, else that is "", and how the reply ended as
    its `finish`.

    Raises:
        InputError: the file can't be read or is empty, or a row is not as it should be: which, and
            why.
    """
    return records.read(path, "demonstrations", _shown)


def _shown(row: Row, place: str) -> Shown:
    words_alone(row)
    name = row.get("name")
    if name is not None and not is_whole(name):
        raise wrong("name", "expected a text", name)
    if row.get("completion") is None and row.get("messages") is not None:
        asked, key = shared(row, ("messages",)), "messages"
    else:
        asked, key = prompt(row), "completion"
    text = reply(row, key, asked)
    if not text:
        raise wrong(key, "expected a reply that says something", row[key])
    return Shown(
        episode=place,
        turn=None,
        agent="",
        speakers=EVERYONE,
        said=Said(asked, text, finish=finish(row, "finish")),
        name=name or "",
    )
