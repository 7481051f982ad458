"""Mathematical answers: read from LaTeX or plain text, and compared by value.

What would take long is not begun: powers of powers, great factorials, deep brackets, long products,
sums left to work out.  Such an answer is unreadable, and always is.  What slips through ends after
`SECONDS` of processor time, in the main thread, where a signal can end it; math-verify's own limit,
a signal too, counts the time of other work on the machine and is off.
"""

import re
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from math import ceil, comb, prod
from types import FrameType
from typing import Any, ClassVar

from .marks import SPACED, tagged

LONGEST = 4000
"""Characters of the end of a text that are searched for an answer."""
LONGEST_ANSWER = 300
DEEPEST = 20
MOST_TERMS = 1000
GREATEST = 1000
"""The greatest exponent or factorial that is worked out."""
SECONDS = 2.0
PLACES = 6
"""Decimals that a percentage may have."""

MINUS = str.maketrans("−–", "--")
BINOMIAL = re.compile(r"\\[dt]?binom|\\choose|\\brace")
RATIONAL = re.compile(r"-?[0-9]+(?:/[0-9]+)?")
DELIMITED = re.compile(r"(?<!\\)\$|\\\(|\\\[|\\boxed")
WORD = re.compile(r"(?<!\\)\b[^\W\d_]{2,}")
"""Two letters and more that are no command of LaTeX's."""
SAID = re.compile(r"\\(?:text|mbox|mathrm|textbf|begin|end|left|right)\b\s*(?:\{[^{}]*\})?")
BEYOND = re.compile(r"[\\^_(\[a-zA-Z]|,(?![0-9]{3}(?![0-9]))")
"""What makes an expression of more than one number."""
PROSE = re.compile(r"\A\s*\(?[a-hA-H]\)\s|[0-9]\s+\(|[0-9][eE][-+]?[0-9]")
"""An option's label, a number with a remark behind it, a number of a program's."""
EQUATION = re.compile(r"[^=]*|\s*[a-zA-Z](?:\([a-z]\))?\s*=[^=]*")
CLOSING, OPENING = frozenset(")]}"), frozenset("([{")


@dataclass(frozen=True, slots=True)
class Mathematics:
    r"""The answer is an expression: what \boxed{} holds, or else what the text states last.

    It is looked for in the last <answer> tags, if there are any.  A text without dollars or a box
    that is nothing but an expression is one, as most known answers are written: 3\sqrt{13}.
    """

    quick: ClassVar[bool] = True
    """A signal ends what takes long, and only the main thread is sent one."""

    def read(self, text: str) -> str | None:
        r"""Return the answer in a normal form: a/b, or LaTeX in dollars; 50% is $50\%$."""
        try:
            with _limited():
                return _settled(tagged(text))
        except _TooLong:
            return None

    def score(self, answer: str, expected: str) -> float:
        """Return 1 where they are the same normal form, or equal by math-verify."""
        if answer == self.read(expected):
            return 1.0
        from math_verify import verify

        try:
            with _limited():
                right, given = _parse(expected), _parse(answer)
                if not right or not given:
                    return 0.0
                return float(verify(right, given, timeout_seconds=None))
        except _TooLong:
            return 0.0


class _TooLong(BaseException):
    """The time is up; not an `Exception`, so that no library keeps it for itself."""


@contextmanager
def _limited() -> Generator[None]:
    """Raise `_TooLong` once the block has used its processor time; other threads can't."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGVTALRM, ring)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _settled(text: str) -> str | None:
    """Return the normal form of `text` that is read as itself; `None`: there is none."""
    normal = _normal(text)
    for _ in range(3):
        if normal is None or RATIONAL.fullmatch(normal):
            return normal
        before, normal = normal, _normal(normal)
        if before == normal:
            return normal
    return None


def _normal(text: str) -> str | None:
    found = _parse(text)
    if not found or isinstance(found[0], str):
        return None
    import sympy

    try:
        value = _worked_out(found[0])
        if value is None:
            return None
        if isinstance(value, sympy.Rational):
            return _percent(found[0], value) or str(value)
        if isinstance(value, sympy.Symbol) and value.name.isalpha() and len(value.name) > 1:
            return rf"$\text{{{value.name}}}$"
        normal = f"${sympy.latex(value)}$"
        return normal if len(normal) <= LONGEST_ANSWER else None
    except (ArithmeticError, AttributeError, RecursionError, TypeError, ValueError):
        # Nonsense that parses, such as a matrix to the power of a set.
        return None


def _percent(found: Any, value: Any) -> str | None:
    r"""Return a `value` that was `found` as a percentage as $50\%$; `None`: it wasn't.

    It may be meant as 50 or as 1/2, and math-verify takes it for either.
    """
    import sympy as sp

    if sp.UnevaluatedExpr(sp.Rational(1, 100)) not in found.args:
        return None
    points = value * 100 * 10**PLACES
    if not points.is_Integer:
        return None
    return rf"${Decimal(int(points)).scaleb(-PLACES).normalize():f}\%$"


def _worked_out(found: Any) -> Any:
    import sympy as sp

    if isinstance(found, sp.Eq) and isinstance(found.lhs, sp.Symbol):
        found = found.rhs  # x = 5 answers 5
    if not isinstance(found, sp.Expr):
        return found
    value: Any = sp.nsimplify(found, rational=True).doit().expand()
    return None if value.has(sp.zoo, sp.nan) else value


def _terms(value: Any) -> int:
    """Return how many terms `value`, or a part of it, may have when it is multiplied out."""
    import sympy as sp

    parts = [_terms(part) for part in value.args]
    if isinstance(value, sp.Add):
        return sum(parts)
    if isinstance(value, sp.Mul):
        return prod(parts)
    if isinstance(value, sp.Pow) and isinstance(value.exp, sp.Number):
        n, k = min(parts[0], MOST_TERMS + 1), min(ceil(abs(value.exp)), GREATEST)
        return comb(n + k - 1, k)
    return max(parts, default=1)


def _parse(text: str) -> list[Any]:
    """Return what math-verify finds: [expression, its text]; nothing where it is out of bounds."""
    text = SPACED.sub(",", text[-LONGEST:].translate(MINUS))
    if _is_expression(text):
        found = _found(rf"\boxed{{{text.strip()}}}")
        if found or "\\" in text:  # of what isn't read whole no part is the answer
            return found
    return _found(text)


def _is_expression(text: str) -> bool:
    """Return whether all of `text` is one expression, beyond a number, that nothing delimits."""
    return bool(
        len(text) <= LONGEST_ANSWER
        and "\n" not in text.strip()
        and BEYOND.search(text)
        and EQUATION.fullmatch(text)
        and not DELIMITED.search(text)
        and not PROSE.search(text)
        and not WORD.search(SAID.sub("", text))
    )


def _found(text: str) -> list[Any]:
    if _depth(text) > DEEPEST or BINOMIAL.search(text):
        return []
    parse, configs = _parser()
    try:
        found: list[Any] = parse(text, configs, parsing_timeout=None)
    except (ArithmeticError, AttributeError, RecursionError, TypeError, ValueError):
        return []
    return found if len(found) > 1 and _bounded(found) else []


def _depth(text: str) -> int:
    depth = deepest = 0
    for letter in text:
        depth += (letter in OPENING) - (letter in CLOSING)
        deepest = max(deepest, depth)
    return deepest


def _bounded(found: list[Any]) -> bool:
    """Return whether what was found can be worked out at once."""
    import sympy as sp

    if len(str(found[1])) > LONGEST_ANSWER:
        return False
    if not isinstance(found[0], sp.Basic):
        return True
    unfinished = (sp.Sum, sp.Product, sp.Integral, sp.Limit, sp.Derivative)
    if found[0].has(*unfinished) or _terms(found[0]) > MOST_TERMS:
        return False
    powers = [power.exp for power in found[0].atoms(sp.Pow)]
    grown = [*powers, *(f.args[0] for f in found[0].atoms(sp.factorial, sp.factorial2))]
    return all(
        abs(n) <= GREATEST if isinstance(n, sp.Number) else not n.has(sp.Pow, sp.factorial)
        for n in grown
    )


@cache
def _parser() -> Any:
    import logging

    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse

    # It warns at each start that its timeout is off, which is on purpose here.
    logging.getLogger("math_verify").setLevel(logging.ERROR)
    return parse, [LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig()]
