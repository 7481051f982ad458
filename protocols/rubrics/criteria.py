"""Criteria: what is true of a good answer, or a bad one, in one sentence each, for so many points.

As text a rubric has a line for each, "[points] sentence", under one that names its version: a hash
of its content, so that rubrics that ask for the same, in whatever order, have the same version.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

LONGEST = 300
"""Characters of a criterion."""
POINTS = re.compile(r"\[\s*([+-]?\d+(?:\.\d+)?)\s*\]")
ABOUT_GRADING = re.compile(
    r"""\b(?: full\ (?:marks|points|credit|score) | rubric | grader | grading
    | (?:this|these|each|every|all)\ criteri(?:on|a)
    | (?:maximum|highest|top|perfect)\ (?:marks?|points|score|grade) )\b""",
    re.VERBOSE | re.IGNORECASE,
)
"""What is said of the judging, and not of what is judged."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """One thing that is true of an answer or not."""

    text: str
    points: float = 1.0
    """What an answer of which it is true earns; below 0 it names something bad, and costs."""
    by: int | None = None
    """The turn that proposed it; `None`: it was given."""

    def __str__(self) -> str:
        """Return it as a line of a rubric."""
        return f"[{self.points:g}] {self.text}"


def rubric(criteria: Sequence[Criterion]) -> tuple[str, ...]:
    """Return a rubric's lines, which `given` reads; none where there are no criteria."""
    lines = [str(criterion) for criterion in criteria]
    if not lines:
        return ()
    version = sha256("\n".join(sorted(lines)).encode()).hexdigest()[:12]
    return f"# version {version}", *lines


def given(text: str) -> tuple[Criterion, ...]:
    """Return the criteria of a rubric that was written down; one without points is worth 1.

    Raises:
        ValueError: a line is no criterion, or none of them is worth anything.
    """
    found: dict[str, Criterion] = {}
    for number, line in enumerate(text.splitlines(), 1):
        said = line.strip()
        if not said or said.startswith("#"):
            continue
        points = POINTS.match(said)
        criterion = Criterion(
            tidied(said[points.end() :] if points else said), float(points[1]) if points else 1.0
        )
        misread = points is None and said.startswith("[")
        if misread or criterion.points == 0 or words(criterion.text) in {"", *found}:
            expected = "'[points] sentence', points other than 0 and no sentence twice"
            raise ValueError(f"line {number}: expected {expected}, got {said[:60]!r}")
        found[words(criterion.text)] = criterion
    if not any(criterion.points > 0 for criterion in found.values()):
        raise ValueError("no criterion has points above 0, so no answer could earn any")
    return tuple(found.values())


def tidied(text: str) -> str:
    """Return `text` on one line."""
    return " ".join(text.split())


def sound(criteria: Sequence[Criterion]) -> list[Criterion]:
    """Return the criteria that can be used.

    Left out are what says the same as an earlier one but for letter case and punctuation, what says
    nothing, what is too long, and what speaks of the grading itself.
    """
    kept: dict[str, Criterion] = {}
    for criterion in criteria:
        usable = len(criterion.text) <= LONGEST and not ABOUT_GRADING.search(criterion.text)
        if usable and (said := words(criterion.text)):
            kept.setdefault(said, criterion)
    return list(kept.values())


def words(text: str) -> str:
    """Return what is said, whatever its letter case and punctuation, but for signs of sums."""
    said = re.findall(r"\w+|[-+*/^<>=%]", text.casefold())
    return " ".join(said) if any(map(str.isalnum, text)) else ""


def earned(criteria: Sequence[Criterion], met: Sequence[float | None]) -> float | None:
    """Return the points earned over the points that can be: at most 1, below 0 at the worst.

    With no criterion below 0 this is what Rubrics as Rewards calls explicit; with some it is
    HealthBench's.  What earns points and could not be read counts on neither side; what costs some
    may cost all of them.

    Args:
        criteria: what was judged.
        met: how likely each is true of the answer; `None`: it could not be read.

    Returns:
        `None`: a criterion below 0 could not be read, or less than half of the rubric, by the size
        of the points, or nothing of it that earns any.
    """
    read = [(c.points, p) for c, p in zip(criteria, met, strict=True) if p is not None]
    most = sum(points for points, _ in read if points > 0)
    half = sum(abs(c.points) for c in criteria) / 2
    blind = any(c.points < 0 and p is None for c, p in zip(criteria, met, strict=True))
    if blind or most <= 0 or sum(abs(points) for points, _ in read) < half:
        return None
    return sum(points * p for points, p in read) / most


def discrimination(met: Sequence[Sequence[float | None]]) -> float | None:
    """Return the share of criteria that are rather true of one answer and rather not of another.

    Args:
        met: for each criterion, how likely it is true of each answer.

    Returns:
        The share of those that could be read on two answers or more; `None`: there are none.
    """
    read = [[p for p in one if p is not None] for one in met]
    apart = [min(one) < 0.5 < max(one) for one in read if len(one) > 1]
    return sum(apart) / len(apart) if apart else None
