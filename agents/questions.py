"""Questions that simulated agents have an opinion on, and how they judge replies to them.

As a judge such an agent chooses among the replies that its prompt shows in fences.  With
probability `bias` it takes the first; else it finds the right ones beside wrong ones with
probability `competence`, and knows no difference between equals.  Asked yes or no, or for a mark,
it knows a right reply from a wrong one as often; marks of the same half are alike to it.
"""

import re
from collections.abc import Sequence
from hashlib import blake2b

LETTERS = "ABCDEFGH"
QUESTION = re.compile(r"Question (\d+): (?:choose one of ([A-H](?:, [A-H])*)|say a number)\.")
OPINION = r"([A-H]|-?\d+(?:\.\d+)?(?:e-?\d+)?)(?![\w.])"
SAID = re.compile(rf"answer: {OPINION}")
BARE = re.compile(rf"\s*{OPINION}\s*")
FENCE = re.compile(r"<(?:answer|reply|summary)\b[^>]*>\n(.*?)\n</", re.DOTALL)
LINE = re.compile(r"^Answer: (.*)$", re.MULTILINE)


def question(number: int, options: int | None) -> str:
    """Return a question that simulated agents have an opinion on; without options, of a number."""
    if options is None:
        return f"Question {number}: say a number."
    return f"Question {number}: choose one of {', '.join(LETTERS[:options])}."


def truth(asked: str) -> str | None:
    """Return the right answer to a question of theirs; `None`: it is none of theirs."""
    found = QUESTION.search(asked)
    if found is None:
        return None
    drawn = int.from_bytes(blake2b(found[1].encode(), digest_size=8).digest())
    among = options(found)
    return among[drawn % len(among)] if among else repr(drawn / 2**64)


def options(found: re.Match[str]) -> list[str]:
    """Return what there is to choose from; nothing where a number is asked for."""
    return found[2].split(", ") if found[2] else []


def fits(said: str | None, found: re.Match[str]) -> bool:
    """Return whether an opinion is one on the question found."""
    return said is not None and (said in LETTERS) == bool(options(found))


def read(text: str) -> str | None:
    """Return the opinion that a text states."""
    found = SAID.search(text) or BARE.fullmatch(text)
    return found[1] if found else None


def opinions(text: str) -> list[str]:
    """Return the opinions that a prompt shows: in fences, or in lines of their own."""
    fences = FENCE.findall(text)
    shown = map(read, fences or LINE.findall(text))
    return [said for said in shown if said is not None]


def judged(asked: str, choices: Sequence[str], competence: float, bias: float) -> tuple[float, ...]:
    """Return how likely a judge makes each choice; all alike where it is shown no reply."""
    right = [read(reply) == truth(asked) for reply in FENCE.findall(asked)]
    if len(right) == len(choices):
        weights = _among(right, competence)
        return tuple(bias * (i == 0) + (1 - bias) * w for i, w in enumerate(weights))
    if not right:
        return (1 / len(choices),) * len(choices)
    good = competence if right[0] else 1 - competence
    half = len(choices) // 2
    low, high = (1 - good) / half, good / (len(choices) - half)
    if choices[0].casefold() == "yes":
        return good, 1 - good
    return (*(low,) * half, *(high,) * (len(choices) - half))


def _among(right: Sequence[bool], competence: float) -> list[float]:
    """Return how likely each of some replies is chosen, by which of them are right."""
    n = sum(right)
    if n in {0, len(right)}:
        return [1 / len(right)] * len(right)
    return [competence / n if one else (1 - competence) / (len(right) - n) for one in right]
