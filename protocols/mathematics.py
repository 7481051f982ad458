"""Mathematical answers: read from LaTeX or plain text, and compared by value.

math-verify bounds its time with a signal, which works in the main thread only; Moot reads answers
wherever they arrive.  So no time is bounded here, and what would take long is not begun: powers of
powers, great factorials, deep brackets, long products, sums left to work out.  Such an answer is
unreadable.
"""

import re
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any

LONGEST = 4000
"""Characters of the end of a text that are searched for an answer."""
LONGEST_ANSWER = 300
DEEPEST = 20
MOST_TERMS = 1000
GREATEST = 1000
"""The greatest exponent or factorial that is worked out."""

MINUS = str.maketrans("−–", "--")
BINOMIAL = re.compile(r"\\[dt]?binom|\\choose|\\brace")
RATIONAL = re.compile(r"-?[0-9]+(?:/[0-9]+)?")
CLOSING, OPENING = frozenset(")]}"), frozenset("([{")


@dataclass(frozen=True, slots=True)
class Mathematics:
    r"""The answer is an expression: what \boxed{} holds, or else what the text states last."""

    def read(self, text: str) -> str | None:
        """Return the answer in a normal form: a/b, or LaTeX in dollars."""
        normal = _normal(text)
        for _ in range(3):  # what is given must be read as the same
            if normal is None or RATIONAL.fullmatch(normal):
                return normal
            before, normal = normal, _normal(normal)
            if before == normal:
                return normal
        return None

    def score(self, answer: str, expected: str) -> float:
        """Return 1 where they are the same normal form, or equal by math-verify."""
        if answer == self.read(expected):
            return 1.0
        right, given = _parse(expected), _parse(answer)
        if not right or not given:
            return 0.0
        from math_verify import verify

        return float(verify(right, given, timeout_seconds=None))


def _normal(text: str) -> str | None:
    found = _parse(text)
    if not found or isinstance(found[0], str):
        return None
    import sympy

    try:
        value = _worked_out(found[0])
        if value is None or isinstance(value, sympy.Rational):
            return None if value is None else str(value)
        if isinstance(value, sympy.Symbol) and value.name.isalpha() and len(value.name) > 1:
            return rf"$\text{{{value.name}}}$"
        return f"${sympy.latex(value)}$"
    except (ArithmeticError, AttributeError, RecursionError, TypeError, ValueError):
        # Nonsense that parses, such as a matrix to the power of a set.
        return None


def _worked_out(found: Any) -> Any:
    import sympy as sp

    if isinstance(found, sp.Eq) and isinstance(found.lhs, sp.Symbol):
        found = found.rhs  # x = 5 answers 5
    if not isinstance(found, sp.Expr):
        return found
    value: Any = sp.nsimplify(found, rational=True).doit().expand()
    return None if value.has(sp.zoo, sp.nan) else value


def _terms(value: Any) -> int:
    """Return how many terms `value` may have when it is multiplied out."""
    import sympy as sp

    if isinstance(value, sp.Add):
        return sum(map(_terms, value.args))
    if isinstance(value, sp.Mul):
        return prod(map(_terms, value.args))
    if isinstance(value, sp.Pow) and isinstance(value.exp, sp.Integer) and value.exp > 0:
        return min(_terms(value.base), MOST_TERMS) ** int(value.exp)
    return 1


def _parse(text: str) -> list[Any]:
    """Return what math-verify finds: [expression, its text]; nothing where it is out of bounds."""
    text = text[-LONGEST:].translate(MINUS)
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
