"""Nonsense: numbers that aren't finite stop a training before its step, and name the examples."""

import math
from collections.abc import Sequence

from torch import Tensor

from moot.agents.errors import MootError

from .data.examples import Example

KEPT = "the weights of before this step are kept; a lower fit.lr may help"


def refuse_losses(losses: Tensor, examples: Sequence[Example]) -> None:
    """Raise, in all processes alike, where a loss isn't finite."""
    finite = losses.isfinite().tolist()
    if not all(finite):
        bad = [e for e, good in zip(examples, finite, strict=True) if not good]
        value = losses[finite.index(False)].item()
        raise MootError(f"{_nonsense('a loss', value)} of {named(bad)}; {KEPT}")


def refuse_gradient(norm: float, examples: Sequence[Example]) -> None:
    """Raise where the norm of a step's gradient isn't finite."""
    if not math.isfinite(norm):
        raise MootError(f"{_nonsense('the gradient', norm)} in {named(examples)}; {KEPT}")


def _nonsense(what: str, value: float) -> str:
    return f"training: {what} that isn't finite ({value})"


def named(examples: Sequence[Example]) -> str:
    """Return which examples these are, for an error."""
    some = [f"{e.episode} turn {'/'.join(map(str, e.turns))}" for e in examples[:3]]
    return ", ".join(some) + (f" and {len(examples) - 3} more" if len(examples) > 3 else "")
