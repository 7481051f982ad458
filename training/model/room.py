"""Room: what the model that learns can read at once, and what is too long for it."""

from moot.agents.embedded.tokens import Tokens

from ..data.examples import Example
from .rows import completion, prompt


class Room:
    """The context of a model, and how many examples it had no room for.

    Words may be longer than it where another model said them, or where they are from a file.
    Positions that a model never learnt would teach it nonsense: such an example is left out whole.
    """

    def __init__(self, encode: Tokens, most: int | None) -> None:
        """Take the most tokens of a row; `None`: there is no bound."""
        self._encode, self._most = encode, most
        self.left_out = 0
        """How many it had no room for, of those it was asked about."""

    def holds(self, example: Example) -> bool:
        """Return whether each row of the example fits."""
        most, encode = self._most, self._encode
        if most is None:
            return True
        lengths = (len(prompt(one, encode)) + len(completion(one, encode)) for one in example.rows)
        if max(lengths) <= most:
            return True
        self.left_out += 1
        return False
