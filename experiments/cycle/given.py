"""Given: what a file has to learn, beside what was said."""

from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from moot.training.data.examples import Example
from moot.training.method import Method

from .course import kept


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
