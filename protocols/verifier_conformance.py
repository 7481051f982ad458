r"""Conformance of a verifier: what every one keeps, ours and yours.

    from moot.protocols.verifier_conformance import check_verifier
    def test_mine_conforms() -> None:
        check_verifier(Mine(), {"It's a cat.": "cat", "A Cat": "cat", "a dog": "cat"})

It can be hashed.  It reads any text without an error, and what it has read as the same.  A score is
in [0, 1], and the same when it is asked for again.  Answers that are right are read as one, so that
they can vote, unless what is known is no answer (`Knowing`).
"""

from collections.abc import Mapping

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
        known: what agents might say, and for each the known answer, as a task file has it.
    """
    hash(verifier)
    for text in (*TEXTS, *known, *known.values()):
        answer = verifier.read(text)
        if answer is not None and verifier.read(answer) != answer:
            again = verifier.read(answer)
            raise Nonconformity(f"{text[:60]!r} reads as {answer!r}, and that as {again!r}")
    right: dict[str, str] = {}
    for text, expected in known.items():
        read = verifier.known if isinstance(verifier, Knowing) else verifier.read
        if read(expected) is None:
            raise Nonconformity(f"the known answer {expected[:60]!r} can't be read")
        if (answer := verifier.read(text)) is None:
            continue
        first, again = (verifier.score(answer, expected) for _ in range(2))
        if not 0 <= first <= 1 or first != again:
            raise Nonconformity(f"{answer!r} scores {first} and then {again}")
        if first < 1 or isinstance(verifier, Knowing):
            continue
        if right.setdefault(expected, answer) != answer:
            raise Nonconformity(
                f"{right[expected]!r} and {answer!r} are both right, and don't vote for the same"
            )
