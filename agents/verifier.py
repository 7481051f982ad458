"""Verifiers: who reads an answer out of what was said, and checks it.  A check is made once."""

from functools import lru_cache
from typing import ClassVar, Protocol, runtime_checkable

REMEMBERED = 2**17
"""So many checks are: more than there are answers in the episodes that wait to be written."""


class Verifier(Protocol):
    """Reads the answer out of what was said, and checks it.  It can be hashed."""

    def read(self, text: str) -> str | None:
        """Return the final answer that `text` states, in a normal form; `None`: it states none.

        Two texts that state the same answer give the same string, so answers can vote.
        """
        ...

    def score(self, answer: str, expected: str) -> float:
        """Return 1 where `answer` (as `read` gave it) is right; less, in [0, 1], where it is wrong.

        There is no credit for half of an answer: what is nearly right counts as wrong everywhere.
        """
        ...


@runtime_checkable
class Knowing(Protocol):
    """A verifier whose known answers are no answers: tests of code, say, or a range of numbers."""

    def known(self, text: str) -> str | None:
        """Return what `text` makes known, in a normal form; `None`: no answer could be right."""
        ...


@runtime_checkable
class Quick(Protocol):
    """A verifier whose `score` takes next to no time, or has to be called in the main thread."""

    quick: ClassVar[bool]
    """Whether it is so; `score` of any other verifier is called in threads, several at once."""


def is_quick(verifier: Verifier) -> bool:
    """Return whether the verifier's `score` may be waited for."""
    return isinstance(verifier, Quick) and verifier.quick


@lru_cache(maxsize=REMEMBERED)
def is_right(verifier: Verifier, answer: str, expected: str) -> bool:
    """Return whether `answer` is right; the verifier is asked the first time.

    Everybody wants to know: who learns, who measures, and who writes it down.
    """
    return verifier.score(answer, expected) >= 1.0
