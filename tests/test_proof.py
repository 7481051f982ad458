"""Which reply engines are held to."""

from pathlib import Path

import pytest
from told import pair, words

from moot.agents.embedded.tokens import Tokens
from moot.training.data.examples import Shown
from moot.training.proof import Proof, chosen, read, share_gone, write


@pytest.mark.parametrize(
    ("lengths", "taken"),
    [
        ((12, 2, 9, 10), 9),
        ((12, 7, 8, 9), 8),
        ((2, 5, 1), 5),
        ((1,), 1),
        ((0, 0), None),
        ((), None),
    ],
)
def test_it_is_the_shortest_that_is_long_enough_to_tell_versions_apart(
    lengths: tuple[int, ...], taken: int | None, tiny: Path
) -> None:
    shown = [Shown("e", i, "a", (), words("x" * n), "") for i, n in enumerate(lengths)]

    encode = Tokens(tiny)
    found = chosen(shown, encode)

    assert (None if found is None else len(found.tokens)) == taken
    assert found is None or found.prompt_tokens == tuple(encode.prompt(found.prompt))


def test_it_is_learnt_and_of_the_shortest_prompt(tiny: Path) -> None:
    best, worse, asked = words("x" * 9), words("y" * 8), words("z" * 9, asked="what is it?")

    found = [chosen([pair("e", *some)], Tokens(tiny)) for some in ((best, worse), (asked, worse))]

    assert [one and one.text for one in found] == [best.text, asked.text]
    shown = [Shown("e", i, "a", (), one, "") for i, one in enumerate((asked, best))]
    assert getattr(chosen(shown, Tokens(tiny)), "text", None) == best.text


def test_it_lies_beside_the_last_checkpoint(tmp_path: Path) -> None:
    proof = Proof((), "x", (1,), (2,), (-1.0,))
    for step in (1, 2):  # a kill left the first
        (tmp_path / f"step-00000{step}").mkdir()

    write(tmp_path, proof)

    assert [read(tmp_path / f"step-00000{step}") for step in (1, 2)] == [None, proof]


def test_how_far_an_engine_has_gone_by_hand() -> None:
    # The way is (1, 0, 2); gone are (½, 0, 1): half of it, exactly.
    assert share_gone((-1.5, -2, -1), (-2, -2, -2), (-1, -2, 0)) == (0.5, 0.0)
    # The way is (1, 1, 1); gone are (1, 1, 5/2): 3/2 of it.  Each token is (-½, -½, 1) off that,
    # and (-¾, -¾, 3/2) off the share of the other two.
    found = share_gone((-1, -1, 0.5), (-2, -2, -2), (-1, -1, -1))
    assert found == (1.5, pytest.approx(3.375**0.5 / 3))
    # All of the way but a hundredth is one token's, of which the others can't tell.
    share, error = share_gone((-1, -2.05, -1.95), (-2, -2, -2), (0, -1.99, -1.99)) or (0, 0)
    assert (share, error) == (pytest.approx(0.5, abs=1e-3), pytest.approx(0.5, abs=1e-2))
    assert share_gone((-1, -2, -2), (-2, -2, -2), (0, -2, -2)) is None  # all of it is one's
    assert share_gone((-1, -1, 0), (-1, -1, -1), (-1, -1, -1)) is None  # it didn't move
    assert share_gone((-1, -1), (-2, -2), (-1, -2)) is None  # two tokens tell nothing of noise
    assert share_gone((-1, -1, 0), (), (-1, -2, 0)) is None
