"""Which reply engines are held to."""

from pathlib import Path

import pytest
from told import words

from moot.agents.embedded.tokens import Tokens
from moot.training.data.examples import Shown
from moot.training.proof import chosen


@pytest.mark.parametrize(
    ("lengths", "taken"),
    [((12, 2, 9, 10), 9), ((2, 5, 1), 5), ((1,), 1), ((), None)],
)
def test_it_is_the_shortest_that_is_long_enough_to_tell_versions_apart(
    lengths: tuple[int, ...], taken: int | None, tiny: Path
) -> None:
    shown = [Shown("e", i, "a", (), words("x" * n), "") for i, n in enumerate(lengths)]

    found = chosen(shown, Tokens(tiny))

    assert (None if found is None else len(found.tokens)) == taken
