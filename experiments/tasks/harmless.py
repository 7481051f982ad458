"""What a model said may be scored by a rule that evals it: so only the harmless is scored."""

import ast
import re

KNOWN = frozenset(
    {"sin", "cos", "tan", "sec", "csc", "cot", "asin", "acos", "atan"}
    | {"sinh", "cosh", "tanh", "exp", "log", "ln", "sqrt", "abs", "Abs"}
)
SHAPES = (ast.Expression, ast.Constant, ast.List, ast.Tuple, ast.Name, ast.Load)
SUMS = (ast.UnaryOp, ast.USub, ast.UAdd, ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div)
PLAIN = (*SHAPES, *SUMS, ast.FloorDiv, ast.Pow, ast.Call)
GREATEST_POWER = 100

# SymPy rewrites n! before it evals, so that what Python can't parse may still be a call.
FACTORIAL = re.compile(r"\d\s*!|!.*\(|\(.*!", re.DOTALL)


def harmless(answer: str) -> bool:
    """Return whether `answer` may be evaluated.

    What Python can't parse is harmless, for eval fails alike.  Of the rest, lists and arithmetic
    within bounds are: no calls but of elementary functions, no attributes, no powers of powers,
    no text or list times a number.
    """
    if FACTORIAL.search(answer):
        return False
    try:
        tree = ast.parse(answer.strip(), mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return True
    return all(isinstance(node, PLAIN) and _bounded(node) for node in ast.walk(tree))


def _bounded(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Name(id=name), keywords=[]):
            return name in KNOWN
        case ast.Call():
            return False
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return not any(_repeatable(side) for side in (left, right))
        case ast.BinOp(
            left=base,
            op=ast.Pow(),
            right=ast.Constant(value) | ast.UnaryOp(operand=ast.Constant(value)),
        ):
            powers = any(isinstance(inner, ast.Pow) for inner in ast.walk(base))
            return isinstance(value, int | float) and value <= GREATEST_POWER and not powers
        case ast.BinOp(op=ast.Pow()):
            return False
        case _:
            return True


def _repeatable(node: ast.AST) -> bool:
    """Return whether a number times this would be so many copies of it."""
    return any(
        isinstance(inner, ast.List | ast.Tuple)
        or (isinstance(inner, ast.Constant) and isinstance(inner.value, str | bytes))
        for inner in ast.walk(node)
    )
