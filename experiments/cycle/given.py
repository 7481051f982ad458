"""Given: what a file has to learn, beside what was said, and apart from what is held out."""

from collections.abc import Iterable, Iterator, Sequence, Set
from itertools import chain
from pathlib import Path
from typing import Any

from moot.training.data.examples import Example
from moot.training.method import Method

from ..tasks.split import identity
from .course import kept


class Apart:
    """Keeps what a file has to learn apart from what is held out, and counts what it leaves out."""

    def __init__(self, reserved: Set[str]) -> None:
        """Begin with nothing left out.

        Args:
            reserved: the identities of held-out questions.
        """
        self._reserved = reserved
        self.left_out = 0

    def __call__(self, given: Iterable[Example] | None) -> Iterator[Example] | None:
        """Return what is given but for what asks a held-out question; `None`: nothing is given."""
        return None if given is None else self._kept(given)

    def _kept(self, given: Iterable[Example]) -> Iterator[Example]:
        for one in given:
            asked = (m for row in one.rows for m in row.prompt if m.role == "user")
            if any(identity(message.content) in self._reserved for message in asked):
                self.left_out += 1
            else:
                yield one


def gathered(
    method: Method[Any],
    found: Sequence[Example],
    folder: Path,
    given: Iterable[Example] | None,
) -> Sequence[Example]:
    """Return what a cycle teaches, graded as far as that needs no model.

    Args:
        method: grades.
        found: what episodes teach.
        folder: below which all is in a file if there is a file's, which memory may not hold.
        given: what a file has to learn beside it; `None`: there is no file.
    """
    if given is None:
        return method.graded(found)
    return kept(chain(given, found), folder, "talk")
