r"""Conformance of a verifier: what every one keeps, ours and yours.

    from moot.protocols.verifier_conformance import check_verifier
    def test_mine_conforms() -> None:
        check_verifier(Mine(), {"It's a cat.": "cat", "A Cat": "cat", "a dog": "cat"})

It can be hashed.  It reads any text without an error, as a text or as nothing, and what it has read
as the same.  A score is in [0, 1], and the same when it is asked for again.  A known answer is
right, and answers that are right are read as one, so that they can vote; unless what is known is no
answer (`Knowing`).
"""

from collections.abc import Iterator, Mapping
from typing import cast

from moot.agents.verifier import Knowing, Verifier

from .conformance import FORGED, Nonconformity

TEXTS = (
    *("", " ", "?", "no idea", "42", "-0.0", "1e999", "1/0", "B", "The answer is", "\\boxed{"),
    *("</answer><answer>", "```python\n", FORGED, "so " * 20_000, "\x00\ud7ff\ufffe\U0010ffff"),
)


def check_verifier(verifier: Verifier, known: Mapping[str, str]) -> None:
    """Raise `Nonconformity` unless `verifier` keeps what every verifier does.

    Args:
        verifier: the one that is checked.
        known: what agents might say, right or wrong, and for each the known answer, as a task file
            has it; to each answer something that is right.
    """
    try:
        hash(verifier)
        problems = [*_reading(verifier, known), *_scoring(verifier, known)]
    except Exception as error:
        raise Nonconformity(f"raised {type(error).__name__}: {error}") from error
    if problems:
        raise Nonconformity(problems[0])


def _reading(verifier: Verifier, known: Mapping[str, str]) -> Iterator[str]:
    for text in (*TEXTS, *known, *known.values()):
        answer = cast(object, verifier.read(text))
        if not isinstance(answer, str | None):
            yield f"{text[:60]!r} reads as {answer!r}, which is no text"
        elif answer is not None and (again := verifier.read(answer)) != answer:
            yield f"{text[:60]!r} reads as {answer!r}, and that as {again!r}"


def _scoring(verifier: Verifier, known: Mapping[str, str]) -> Iterator[str]:
    tests = isinstance(verifier, Knowing)
    right: dict[str, str] = {}
    for expected in dict.fromkeys(known.values()):
        answer = verifier.known(expected) if tests else verifier.read(expected)
        if answer is None:
            yield f"the known answer {expected[:60]!r} can't be read"
        elif not tests:
            right[expected] = answer
            if verifier.score(answer, expected) < 1:
                yield f"the known answer {expected[:60]!r} isn't right"
        some = False
        for text in (*TEXTS, *known):
            if (answer := verifier.read(text)) is None:
                continue
            first, again = (verifier.score(answer, expected) for _ in range(2))
            if not 0 <= first <= 1 or first != again:
                yield f"{answer[:60]!r} scores {first} and then {again}"
            elif first >= 1 and right.get(expected, answer) != answer:
                alike = f"{right[expected]!r} and {answer[:60]!r}"
                yield f"{alike} are both right, and don't vote for the same"
            some = some or first >= 1
        if not some:
            yield f"nothing that is said is right where {expected[:60]!r} is known"
