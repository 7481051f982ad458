"""How unlike replies are: each counts once, however often it is set beside others."""

from dataclasses import replace
from itertools import permutations

from told import pair, reply, words

from moot.training.data.examples import Shown
from moot.training.variety import variety


def test_replies_that_differ_do_so_in_however_many_pairs() -> None:
    texts = ("a", "b", "c", "c")
    pairs = [
        pair("e", words(texts[i]), words(texts[j]), turns=(i, j))
        for i, j in permutations(range(len(texts)), 2)
    ]

    assert variety(pairs) == {"distinct": 0.75}
    assert variety([one for one in pairs if 3 not in one.turns]) == {"distinct": 1.0}


def test_a_reply_that_several_learn_counts_once() -> None:
    shown = [Shown("e", 1, "a", (name,), words("x"), "reference") for name in ("v", "w")]
    other = Shown("e", 2, "a", ("v",), words("x"), "reference")

    assert variety(shown) == {"distinct": 1.0}
    assert variety([*shown, other]) == {"distinct": 0.5}
    beside = [replace(shown[0], turn=None, said=words(text)) for text in "xy"]  # of no turn
    assert variety(beside) == {"distinct": 1.0}
    assert variety([reply(0, "?", "e"), reply(1, "?", "e")]) == {"distinct": 1.0}
