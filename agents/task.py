"""A task: a question put to a population, and what can be told of answers to it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from .errors import Unverified, with_type
from .own_class import place
from .verifier import Knowing, Verifier, is_right

T = TypeVar("T")
THINKING, THOUGHT = "<think>", "</think>"
"""What reasoning models put around their thoughts."""


def answered(read: object) -> str | None:
    """Return what a verifier read.

    Raises:
        TypeError: it is no text.
    """
    if isinstance(read, str | None):
        return read
    raise TypeError(f"it read {read!r}, which is neither a text nor None")


@dataclass(frozen=True, slots=True)
class Task:
    """A question put to a population, with its answer where one is known."""

    id: str
    prompt: str
    answer: str | None
    verifier: Verifier
    episode: str = ""
    """The seed and the phase in which it is worked on: in another, what is drawn is drawn anew."""

    def drawing(self, *what: object) -> Random:
        """Return the generator of a draw, the same for the same words in the same episode."""
        return Random("/".join(map(str, (*what, self.id, self.episode))))

    def shuffled(self, items: Sequence[T], *what: object) -> list[T]:
        """Return the items in the order that the draw gives."""
        return self.drawing(*what).sample(items, len(items))

    def drawn(self, tied: Iterable[str]) -> str:
        """Return one of the answers that tie in a vote, in whatever order they are given."""
        return self.drawing("tie").choice(sorted(tied))

    def read(self, text: str) -> str | None:
        """Return the answer that `text` states, as the verifier reads it; `None`: it states none.

        A reasoning model's thoughts, up to the last </think>, are not part of what it states; one
        that was cut off in mid-thought states nothing.

        Raises:
            Unverified: the verifier raised an error.
        """
        said = text.rpartition(THOUGHT)[2]
        if said.lstrip().startswith(THINKING):
            return None
        return self._asked("the reply", text, lambda: answered(self.verifier.read(said)))

    def correct(self, answer: str | None) -> bool | None:
        """Return whether `answer` (as the verifier read it) is right; `None`: can't be told.

        Raises:
            Unverified: the verifier raised an error.
        """
        expected = self.answer
        if answer is None or expected is None:
            return None
        return self._asked("the answer", answer, lambda: is_right(self.verifier, answer, expected))

    @property
    def known(self) -> str | None:
        """The known answer, in a normal form; `None`: there is none, or none that can be right.

        Raises:
            Unverified: the verifier raised an error.
        """
        verifier, text = self.verifier, self.answer
        if text is None or not isinstance(verifier, Knowing):
            return None if text is None else self.read(text)
        return self._asked("the known answer", text, lambda: verifier.known(text))

    def _asked(self, what: str, text: str, ask: Callable[[], T]) -> T:
        """Return what the verifier says of a text."""
        try:
            return ask()
        except Exception as error:  # whatever a user's own raises
            verifier = type(self.verifier)
            why = f"{with_type(error)}{place(error, verifier)}"
            raise Unverified(
                f"verifier {verifier.__name__} on {what} {text[:60]!r} to task {self.id}: {why}"
            ) from error
