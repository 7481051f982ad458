"""Apart: what a file has to learn is kept apart from what is held out."""

from collections.abc import Iterable, Iterator, Set

from moot.training.data.examples import Example

from .split import identity


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
            row, *_ = one.rows  # any other replies to the same
            asked = (message for message in row.prompt if message.role == "user")
            if any(identity(message.content) in self._reserved for message in asked):
                self.left_out += 1
            else:
                yield one
