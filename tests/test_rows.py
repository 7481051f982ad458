"""From what was said to a batch: which tokens are learnt from, at which heat, beside what."""

from dataclasses import fields
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from moot.agents.embedded.tokens import Tokens
from moot.agents.errors import MootError
from moot.agents.types import Message
from moot.training.data.examples import Known, Pair, Rollout, Said
from moot.training.model.rows import columns, microbatches, moved, rows
from moot.training.model.types import Rows

HI = (Message("user", "hi"),)
# The tiny model's ids: 0 to 2 are special; then the bytes in the order of their stand-ins, of which
# "!" to "~" are themselves and the first; the 188 printable ones precede 0 to 32: "\n" is the 11th.
START, END, NEWLINE = 1, 2, 3 + 188 + 10


def letters(text: str) -> list[int]:
    return [3 + ord(letter) - ord("!") for letter in text]


TEMPLATED = [
    *(START, *letters("user"), NEWLINE, *letters("hi"), END, NEWLINE),
    *(START, *letters("assistant"), NEWLINE),
]


def said(prompt: tuple[int, ...], tokens: tuple[int, ...], known: Known = Known()) -> Said:  # noqa: B008
    return Said(HI, "Yes", tokens=tokens, prompt_tokens=prompt, known=known)


def spelt(batch: Rows) -> list[list[int]]:
    """Return the completions' tokens, as they are chosen, row by row."""
    chosen = batch.chosen[batch.place].tolist()
    return [[chosen.pop(0) for _ in range(n)] for n in batch.mask.sum(-1).tolist()]


def pair(number: int) -> Pair:
    better, worse = said((number,), (number, 1)), said((number,), (number, 2))
    return Pair("e", (0, 1), ("a", "b"), ("w",), better, worse)


def rollout(tokens: tuple[int, ...]) -> Rollout:
    return Rollout("e", 0, 1, "a", "w", 0, said(tokens[:1], tokens[1:]), None)


def test_a_batch_by_hand() -> None:
    # 5 6 | 7 8     places 0 1 2 3
    #       9                  4
    #   6 9 | 7              5 6
    batch = rows([said((5, 6), (7, 8)), said((5, 6), (9,)), said((5, 6, 9), (7,))], probe=3)

    assert batch.tokens.tolist() == [5, 6, 7, 8, 9, 7]
    assert batch.position.tolist() == [0, 1, 2, 3, 2, 3]
    # chosen are 7 after 6, 8 after 7, 9 after 6, 7 after 9
    assert batch.before.tolist() == [1, 2, 1, 4]
    assert batch.chosen.tolist() == [7, 8, 9, 7]
    assert batch.place.tolist() == [0, 1, 2, 3]
    assert batch.mask.tolist() == [[True, True], [True, False], [True, False]]
    assert batch.last.tolist() == [3, 4, 5]
    assert (len(batch), batch.probe) == (3, 3)


def test_the_same_words_after_the_same_words_are_chosen_once() -> None:
    batch = rows([said((5,), (7, 8)), said((5,), (7, 9)), said((5,), (7, 8))])

    assert spelt(batch) == [[7, 8], [7, 9], [7, 8]]
    assert batch.chosen.tolist() == [7, 8, 9]
    assert batch.place.tolist() == [0, 1, 0, 2, 0, 1]


def test_at_another_temperature_they_are_chosen_again() -> None:
    heats = (1.0, 0.5, 1.0)
    words = [Said(HI, "", tokens=(7,), prompt_tokens=(5,), temperature=heat) for heat in heats]

    batch = rows(words)

    assert spelt(batch) == [[7], [7], [7]]
    assert batch.temperature[batch.place].tolist() == [1.0, 0.5, 1.0]
    assert len(batch.tokens) == len(batch.chosen) == 2


def test_greedy_answers_are_learnt_from_at_a_temperature_of_one() -> None:
    batch = rows([Said(HI, "", tokens=(7, 8), prompt_tokens=(5,), temperature=0.0)])

    assert batch.temperature.tolist() == [1, 1]


def test_what_the_engine_read_and_sampled_is_trained_on(tiny: Path) -> None:
    # The text says something else: it is not asked.
    batch = rows([said((50, 60), (70, 80))], Tokens(tiny))

    assert batch.tokens.tolist() == [50, 60, 70, 80]
    assert spelt(batch) == [[70, 80]]


@pytest.mark.parametrize(("finish", "end"), [("stop", [END]), ("length", [])])
def test_where_it_did_not_say_the_text_is_tokenised(
    tiny: Path, finish: str, end: list[int]
) -> None:
    batch = rows([Said(HI, "Yes", finish=finish)], Tokens(tiny))

    assert batch.tokens.tolist() == [*TEMPLATED, *letters("Yes"), *end]
    assert spelt(batch) == [[*letters("Yes"), *end]]


def test_the_prompt_and_the_reply_are_tokenised_each_by_itself(tiny: Path) -> None:
    one, other = Said(HI, "Yes", prompt_tokens=(50, 60)), Said(HI, "Yes", tokens=(70, 80))

    batch = rows([one, other], Tokens(tiny))

    assert spelt(batch) == [[*letters("Yes"), END], [70, 80]]
    # START is less than 50, so the template's row is laid out first.
    assert batch.tokens.tolist() == [*TEMPLATED, 70, 80, 50, 60, *letters("Yes"), END]


def test_a_prompt_without_tokens_is_refused() -> None:
    with pytest.raises(MootError, match="a prompt without a token precedes the reply 'Yes'"):
        rows([said((), (7, 8))])


def test_what_was_known_before_stands_beside_the_tokens() -> None:
    one = said((5,), (7, 8), Known(logp=(-1.0, -2.0), anchor=(-3.0, -4.0)))
    other = Said(HI, "", (9,), (5,), logprobs=(-7.0,), known=Known(logp=(-5.0,), anchor=(-6.0,)))

    batch = rows([one, other])

    assert batch.old is not None
    assert batch.anchor is not None
    assert batch.old.tolist() == [[-1, -2], [-5, 0]]
    assert batch.anchor.tolist() == [[-3, -4], [-6, 0]]
    assert batch.spoken is not None
    assert batch.spoken[0].isnan().all()  # the engine was silent about the first
    assert batch.spoken[1].tolist() == [-7, 0]
    alone = rows([other]).spoken
    assert alone is not None
    assert alone.tolist() == [[-7]]


def test_what_one_row_lacks_is_known_of_none() -> None:
    full = Known(logp=(-1.0, -2.0), anchor=(-3.0, -4.0))
    for lacking in (Known(), Known(logp=(-1.0,), anchor=(-3.0,))):
        batch = rows([said((5,), (7, 8), full), said((5,), (7, 9), lacking)])
        assert (batch.old, batch.anchor, batch.spoken) == (None, None, None)


def test_an_empty_reply_is_a_row_without_choices() -> None:
    batch = rows([said((5, 6), ()), said((5, 6), (7,), Known(logp=(-1.0,)))])

    assert batch.mask.tolist() == [[False], [True]]
    assert spelt(batch) == [[], [7]]
    assert batch.last.tolist() == [1, 2]
    assert batch.old is not None  # of no tokens everything is known
    assert batch.old.tolist() == [[0], [-1]]


def test_only_empty_replies_are_a_batch_too() -> None:
    batch = rows([said((5, 6), ()), said((5,), ())])

    assert batch.mask.shape == (2, 0)
    assert batch.last.tolist() == [1, 0]
    assert len(batch.chosen) == len(batch.before) == len(batch.temperature) == len(batch.place) == 0


def test_an_empty_text_that_ended_is_the_token_that_ends_it(tiny: Path) -> None:
    ended, cut = (rows([Said(HI, "", finish=f)], Tokens(tiny)) for f in ("stop", "length"))

    assert spelt(ended) == [[END]]
    assert spelt(cut) == [[]]


def test_of_pairs_all_that_were_chosen_come_first() -> None:
    assert [(one.tokens) for one in columns([pair(3), pair(4)])] == [(3, 1), (4, 1), (3, 2), (4, 2)]


def test_of_others_each_is_a_row() -> None:
    assert [one.tokens for one in columns([rollout((3, 1)), rollout((4, 2, 5))])] == [(1,), (2, 5)]
    assert columns([]) == []


def test_all_tensors_move_together() -> None:
    batch = rows([said((5,), (7, 8), Known(logp=(-1.0, -2.0)))], probe=3)

    there = moved(batch, torch.device("meta"))

    tensors = [getattr(there, f.name) for f in fields(Rows)]
    devices = [t.device.type for t in tensors if isinstance(t, torch.Tensor)]
    assert devices == ["meta"] * 9  # all but anchor and spoken, which are not known
    assert (there.nodes, there.probe, there.anchor) == (batch.nodes, 3, None)


@given(
    st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=6).map(tuple), max_size=12),
    st.integers(1, 20),
)
def test_parts_are_as_long_as_they_may_be(told: list[tuple[int, ...]], most: int) -> None:
    examples = [rollout(tokens) for tokens in told]

    found = list(microbatches(examples, None, most))

    assert [example for part in found for example in part] == examples
    sizes = [len(rows(columns(part)).tokens) for part in found]
    assert all(size <= most or len(part) == 1 for size, part in zip(sizes, found, strict=True))
    for part, after in pairwise(found):
        assert len(rows(columns([*part, after[0]])).tokens) > most


def test_a_pair_stays_together() -> None:
    together = list(microbatches([pair(3), pair(4), pair(3)], None, 8))

    # pair(3) is 3 3 1 and 3 3 2, which is 4 tokens; so has pair(4), and the third adds none.
    assert [[p.chosen.tokens[0] for p in part] for part in together] == [[3, 4, 3]]
    assert [len(part) for part in microbatches([pair(3), pair(4), pair(3)], None, 7)] == [1, 1, 1]
