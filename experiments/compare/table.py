"""A table of comparisons: as lines to read, and as a file to compute with."""

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ..analysis.stats import Interval
from ..files.table import whole

NOTHING = "–"


class Cell(NamedTuple):
    """What is said of a run, or of several, and the number that it says, if it is one."""

    text: str
    number: Interval | None = None
    runs: int = 1
    """How many have it."""


@dataclass(frozen=True, slots=True)
class Line:
    """What a line is about, and what it says of each column's run, or runs."""

    name: str
    cells: tuple[Cell, ...]


Blocks = Sequence[Sequence[Line]]
"""Lines that belong together; the first of all has the columns' titles."""


def words(name: str, cells: Iterable[str | None]) -> Line:
    """Return a line of words; a dash is for what isn't known."""
    return Line(name, tuple(Cell(cell or NOTHING) for cell in cells))


def numbers(name: str, found: Iterable[Interval | None], told: Callable[[Interval], str]) -> Line:
    """Return a line of numbers as `told` writes them; a dash is for what isn't known."""
    return Line(name, tuple(Cell(NOTHING) if x is None else Cell(told(x), x) for x in found))


def shown(blocks: Blocks) -> list[str]:
    """Return the lines of a table whose columns stand under each other, a blank between blocks."""
    there = [[(line.name, *(c.text for c in line.cells)) for line in b] for b in blocks if b]
    columns = zip(*(texts for block in there for texts in block), strict=True)
    wide = [max(map(len, column)) for column in columns]
    said: list[str] = []
    for block in there:
        said += [""] if said else []
        said += [
            "  ".join(text.ljust(n) for text, n in zip(texts, wide, strict=True)).rstrip()
            for texts in block
        ]
    return said


def write(to: Path, blocks: Blocks) -> None:
    """Write the table to the file `to` as CSV, a row for each cell.

    Its columns are run, name, value, low, high and runs, which is how many have the value.  A value
    is a number in full, or words; one without an interval has no `low` and no `high`.
    """
    (titles, *first), *rest = blocks
    with whole(to) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("run", "name", "value", "low", "high", "runs"))
        for line in (*first, *(line for block in rest for line in block)):
            for title, cell in zip(titles.cells, line.cells, strict=True):
                if cell.text != NOTHING:
                    rows.writerow((title.text, line.name, *_values(cell), cell.runs))


def _values(cell: Cell) -> tuple[object, object, object]:
    if cell.number is None:
        return cell.text, "", ""
    value, low, high = cell.number
    return (value, "", "") if low == high and cell.runs == 1 else (value, low, high)
