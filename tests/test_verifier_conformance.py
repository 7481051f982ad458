"""Every verifier conforms; and what doesn't is found."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import ClassVar

import pytest

from moot.agents.verifier import Verifier
from moot.protocols.conformance import Nonconformity
from moot.protocols.verifier_conformance import check_verifier
from moot.protocols.verifiers import VERIFIERS

KNOWN: Mapping[str, Mapping[str, str]] = {
    "exact": {"Answer: Paris.": "paris", "<answer> PARIS </answer>": "paris", "Rome": "paris"},
    "number": {"so 1,234.50": "1234.5", "\\boxed{1234.5}": "1234.5", "about 7": "1234.5"},
    "math": {"$\\frac{2}{4}$": "1/2", "\\boxed{\\frac12}": "1/2", "3": "1/2"},
    "choice": {"(b)": "B", "The answer is B": "B", "C": "B"},
}


@pytest.mark.parametrize("name", VERIFIERS)
def test_it_conforms(name: str) -> None:
    check_verifier(VERIFIERS[name], KNOWN[name])


@dataclass(frozen=True)
class Letters:
    """Reads all letters: what keeps the rules, to be broken."""

    def read(self, text: str) -> str | None:
        return "".join(filter(str.isalpha, text)).casefold() or None

    def score(self, answer: str, expected: str) -> float:
        return float(answer == self.read(expected))


class Cut(Letters):
    """Reads less the second time."""

    def read(self, text: str) -> str | None:
        return text[1:] or None


class Loud(Letters):
    """Reads equal answers as unlike ones."""

    def read(self, text: str) -> str | None:
        return text.strip() or None

    def score(self, answer: str, expected: str) -> float:
        return float(answer.casefold() == expected.casefold())


class Sure(Letters):
    """Scores beyond one."""

    def score(self, answer: str, expected: str) -> float:
        return 2.0


class Moody(Letters):
    """Scores otherwise each time."""

    asked: ClassVar = count()

    def score(self, answer: str, expected: str) -> float:
        return float(next(self.asked) % 2)


class Numb(Letters):
    """Reads what is no text."""

    def read(self, text: str) -> str | None:
        return 7  # pyright: ignore[reportReturnType]


class Never(Letters):
    """Finds nothing right."""

    def score(self, answer: str, expected: str) -> float:
        return 0.0


class Passing(Letters):
    """Knows tests, which any answer may pass."""

    def known(self, text: str) -> str | None:
        return text if "test" in text else None

    def score(self, answer: str, expected: str) -> float:
        return 1.0


class Changing(Letters):
    """Can't be hashed."""

    def __hash__(self) -> int:
        raise TypeError("unhashable")


CATS = {"A cat": "a cat", "a CAT": "a cat", "dog": "a cat"}


@pytest.mark.parametrize(
    ("verifier", "known", "wrong"),
    [
        (Cut(), {}, "reads as"),
        (Loud(), CATS, "'a cat' and 'A cat' are both right, and don't vote for the same"),
        (Sure(), CATS, r"'noidea' scores 2\.0 and then 2\.0"),
        (Moody(), CATS, r"scores \d\.0 and then \d\.0|known answer 'a cat' isn't right"),
        (Numb(), {}, "'' reads as 7, which is no text"),
        (Never(), CATS, "the known answer 'a cat' isn't right"),
        (Changing(), CATS, "raised TypeError: unhashable"),
        (Letters(), {"cat": "42"}, "the known answer '42' can't be read"),
        (Passing(), CATS, "the known answer 'a cat' can't be read"),
    ],
)
def test_what_does_not_is_found(verifier: Verifier, known: Mapping[str, str], wrong: str) -> None:
    with pytest.raises(Nonconformity, match=wrong):
        check_verifier(verifier, known)


def test_right_answers_needn_t_be_alike_where_what_is_known_is_no_answer() -> None:
    check_verifier(Letters(), CATS)
    check_verifier(Passing(), dict.fromkeys(CATS, "a test"))
