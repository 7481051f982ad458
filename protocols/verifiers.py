"""Verifiers: how an answer is read out of what was said, and when it is right.

`read` is idempotent and never raises: what it gives, it reads as the same.  Equal answers give
equal strings, so that they can vote.  What states no answer, or several, is `None`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import ClassVar

from moot.agents.verifier import Verifier

from .marks import BOXED, SPACED, tagged
from .mathematics import Mathematics

MARKED = re.compile(r"answer\s*(?:is\b|:|=)\s*:?", re.IGNORECASE)
QUOTES = "\"'`“”‘’*"

FRACTION = re.compile(r"\\[dt]?frac\s*(?:\{\s*([-−]?\d+)\s*\}\s*\{\s*(\d+)\s*\}|(\d)\s*(\d))")
WORKED = re.compile(r"\\(?:[dt]?frac|sqrt|pi)\b")
"""What makes of the numbers in a box one that isn't read here."""

UNIT_POWER = re.compile(r"(?<=[^\W\d_]|[})])\s*\^\s*(?:\{\s*[-−]?\d+\s*\}|[-−]?\d+)")
"""The power of a unit, as of cm^2 or \\text{cm}^{-1}."""
RAISED = re.compile(r"\^\s*\{?\s*$")
"""What stands before an exponent."""

# A word comes first, so that its digits (H2O, x23) are no number.  A minus after a digit, a letter
# or a closing bracket is an operator: 7-3 states 7, then 3.  One with space behind it is a dash, or
# an item's, but where a value begins: first of all, or in the line of "=", ":", "is", "(" or "$".
NUMBER = re.compile(
    r"""[^\W\d]\w*
    | (?: (?<![\w)\]}]) (?P<sign>[-+−–]) [$€£]?
        | (?: \A\s* | (?<=[=(\[{$:]) | (?<=[=(\[{$:][ ]) | (?<=\bis[ ]) )
          (?P<apart>[-+−–]) [ ] [$€£]? )?
        (?: (?<![0-9,.]) (?P<whole>[0-9]{1,3}) [ ] (?=[0-9]+/[0-9]) )?
        (?P<body> (?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9]) | [0-9]+) (?:\.[0-9]+)?
                | (?<![0-9.])\.[0-9]+ )
        (?: [eE](?P<exponent>[-+]?[0-9]{1,3}) (?!\w)
          | (?<!/[0-9]) / (?P<under>[0-9]+) (?![0-9]|/[0-9]|\.[0-9]) )?""",
    re.VERBOSE,
)
LONGEST = 100

LETTER = re.compile(r"(?<![\w'’])([A-H])(?![\w'’])|\(([a-h])\)")
ALONE = re.compile(r"[^\w]*([A-Ha-h])[^\w]*")
BOX = re.compile(
    r"""\\boxed \s* \{ \s* (?:\\text\w*\s*\{)? \s* [(\[]? ([A-Ha-h]) (?:[)\].:]|[)\].:]\s[^{}]*)?
        \s* \}""",
    re.VERBOSE,
)
"""One that holds a letter, and perhaps what it stands for."""
ARTICLE = r"A(?=[ \t]+(?!(?:or|and|because|since|as)\b)[a-z])"
"""An A before a small letter, as in "A cat"."""
DENIED = re.compile(
    r"""\b (?i:not|isn't|never|rather\ than) \s+ (?i:(?:the\s+)?(?:answer|option|choice)\s+)?
        (?: [(\[]? [A-H] [)\]]? (?![\w'’]) | \([a-h]\) )
    | (?i:(?:answer|option|choice)\s+)? (?: \b[A-H] | [(\[][A-Ha-h][)\]] )
        \s+ (?i:is|was|seems) \s+ (?i:also\s+|clearly\s+)? (?i:not|wrong|incorrect|false) \b""",
    re.VERBOSE,
)
"""A letter that is named to be ruled out."""
CHOSEN = re.compile(
    rf"""\b (?P<by> (?i:answer|option|choice) ) \s* (?:is\b|:|=)? \s* :?
        \s* (?i:option\s|choice\s)? [\s(\[{{*"'`$]* (?:\\(?:boxed|text)\{{)* [(\[]?
        (?P<letter> (?!{ARTICLE}) [A-H] (?![\w'’]) | [a-h] (?![\w'’]|[ \t]+\w) )
        (?P<more> \W{{0,3}} \s* (?:or|and|[/,&]) \s* \W{{0,2}} [A-Ha-h] (?![\w'’]) )?""",
    re.VERBOSE,
)


def stated(text: str) -> str:
    """Return the part of `text` that states its answer.

    It is what the last pair of <answer> tags holds; or else what follows the last "answer:" or
    "answer is"; or else all of it.  Quotes, emphasis and one full stop around it are not part.
    """
    before = None
    while text != before:  # until there is nothing more to strip, so that reading is idempotent
        before = text
        if (inner := tagged(text)) != text:
            text = inner
        elif marked := list(MARKED.finditer(text)):
            text = text[marked[-1].end() :]
        text = text.strip().strip(QUOTES).removesuffix(".").strip()
    return text


@dataclass(frozen=True, slots=True)
class Exact:
    """The answer is text; letter case and the amount of white space don't matter."""

    quick: ClassVar[bool] = True

    def read(self, text: str) -> str | None:
        """Return what `text` states (see `stated`), in lower case with single spaces."""
        before = None
        while text != before:
            before, text = text, " ".join(stated(text).casefold().split())
        return text or None

    def score(self, answer: str, expected: str) -> float:
        """Return 1 where they are the same text."""
        return float(answer == self.read(expected))


@dataclass(frozen=True, slots=True)
class Number:
    """The answer is the last number in the text, by its exact value: 3.0 is 3, 1/2 is 0.5."""

    quick: ClassVar[bool] = True

    def read(self, text: str) -> str | None:
        r"""Return the last number as an integer, a decimal or a fraction, whichever is exact first.

        It is looked for in the last <answer> tags, or else in the last \boxed{}, if there is one.
        Thousands have commas and decimals a point: 1,234.5.  Units, currencies and % are passed
        over, with their powers (cm^2); 3 1/2 is 3.5.  A power of a number isn't read, and nor is a
        number of more than a hundred characters, which is nobody's answer.
        """
        text = tagged(text)
        boxed = BOXED.findall(text)
        text = FRACTION.sub(_over, SPACED.sub(",", boxed[-1] if boxed else text))
        if boxed and WORKED.search(text):
            return None
        text = UNIT_POWER.sub("", text)
        found = [one for one in NUMBER.finditer(text) if one["body"]]
        if not found or RAISED.search(text, 0, found[-1].start()):
            return None
        return _normal(found[-1])

    def score(self, answer: str, expected: str) -> float:
        """Return 1 where the values are equal."""
        return float(answer == expected or answer == self.read(expected))


MINUS = ("-", "−", "–")


def _over(found: re.Match[str]) -> str:
    """Return a fraction of LaTeX's as a/b, apart from digits before and behind it."""
    text, start, end = found.string, found.start(), found.end()
    before, behind = (" " * text[at : at + 1].isdigit() for at in (max(0, start - 1), end))
    return f"{before}{found[1] or found[3]}/{found[2] or found[4]}{behind}"


def _normal(found: re.Match[str]) -> str | None:
    sign, body, exponent, under = found.group("sign", "body", "exponent", "under")
    sign = sign or found["apart"]
    if len(found[0]) > 2 * LONGEST or (under is not None and int(under) == 0):
        return None
    if exponent is under is None and body.isascii() and body.isdigit():  # by far the most frequent
        whole = str(int(body))
        text = f"-{whole}" if sign in MINUS and whole != "0" else whole
        return text if len(text) <= LONGEST else None
    value = Fraction(body.replace(",", "")) * Fraction(10) ** int(exponent or 0)
    value /= int(under or 1)
    if under and value < 1:
        value += int(found["whole"] or 0)
    value *= -1 if sign in MINUS else 1
    text = _decimal(value)
    return text if len(text) <= LONGEST else None


def _decimal(value: Fraction) -> str:
    """Return the value as an integer or a finite decimal if it is one, else as a/b."""
    digits, rest = 0, value.denominator
    while digits <= LONGEST and rest != 1:
        digits, rest = digits + 1, (value * 10 ** (digits + 1)).denominator
    if rest != 1:
        return str(value)
    whole = str(abs(int(value * 10**digits))).zfill(digits + 1)
    sign = "-" if value < 0 else ""
    return sign + (f"{whole[:-digits]}.{whole[-digits:]}" if digits else whole)


@dataclass(frozen=True, slots=True)
class Choice:
    """The answer is a letter from A to H."""

    quick: ClassVar[bool] = True

    def read(self, text: str) -> str | None:
        """Return the letter that `text` chooses, as a capital; `None` where that is not clear.

        It is looked for in the last <answer> tags, if there are any.
        "The answer is (b)" chooses, and the last such phrase counts.  Without one a box with a
        letter does, then "option B", and else the text must name a letter: "B", "(b)", "B) Paris";
        several choose nothing.  A letter that is ruled out ("not B", "B is wrong") isn't counted.
        """
        if alone := ALONE.fullmatch(text):
            return alone[1].upper()
        if (answer := tagged(text)) != text:
            return self.read(answer)
        text = DENIED.sub("", text)
        chosen = list(CHOSEN.finditer(text))
        if answered := [one for one in chosen if one["by"].casefold() == "answer"]:
            return None if answered[-1]["more"] else answered[-1]["letter"].upper()
        if boxed := BOX.findall(text):
            return boxed[-1].upper()
        if chosen:
            options = {None if one["more"] else one["letter"].upper() for one in chosen}
            return options.pop() if len(options) == 1 else None
        letters = LETTER.finditer(re.sub(rf"\b{ARTICLE}", "", text))
        named = {(one[1] or one[2]).upper() for one in letters}
        return named.pop() if len(named) == 1 else None

    def score(self, answer: str, expected: str) -> float:
        """Return 1 where it is the same letter."""
        return float(answer == self.read(expected))


VERIFIERS: Mapping[str, Verifier] = MappingProxyType(
    {"exact": Exact(), "number": Number(), "math": Mathematics(), "choice": Choice()}
)
