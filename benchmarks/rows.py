"""What a benchmark finds: rows, as a table and as lines of JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median


@dataclass(frozen=True)
class Row:
    """One line of the result, in the fields every benchmark shares."""

    benchmark: str
    case: str
    metric: str
    unit: str
    ours: float
    peer: str
    peer_value: float
    ratio: float | None
    """Above 1 ours is better; `None`: there is none, as where the peer got nothing right."""
    n: int
    low: float | None
    high: float | None
    difference: float | None = None
    """Ours less the peer's, where that is what counts."""
    difference_low: float | None = None
    difference_high: float | None = None


def paired(
    benchmark: str,
    case: str,
    metric: str,
    unit: str,
    ours: Sequence[float],
    peer: str,
    theirs: Sequence[float],
    ratios: Sequence[float],
) -> Row:
    """Return one comparison over repetitions: medians, and the ratios' least and greatest."""
    return Row(
        benchmark=benchmark,
        case=case,
        metric=metric,
        unit=unit,
        ours=median(ours),
        peer=peer,
        peer_value=median(theirs),
        ratio=median(ratios),
        n=len(ratios),
        low=min(ratios),
        high=max(ratios),
    )


def show(rows: Sequence[Row]) -> None:
    """Print comparisons by ratio as a table."""
    lines: list[list[str]] = []
    for row in rows:
        spread = "" if row.low is None else f"[{row.low:.2f}, {row.high:.2f}]"
        values = (f"{row.ours:.4g}", row.peer, f"{row.peer_value:.4g}", f"{row.ratio:.2f}", spread)
        lines.append([row.case, row.metric, *values])
    print("\n" + table(["case", "metric", "ours", "peer", "value", "ratio", "spread"], lines))


def write(rows: Sequence[Row], file: Path | None) -> None:
    """Write the rows to `file`, if there is one, an object a line."""
    if file is not None:
        lines = (json.dumps(asdict(row), allow_nan=False) + "\n" for row in rows)
        file.write_text("".join(lines), encoding="utf-8")


def table(names: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return lines of cells under their names: the first on the left, the others on the right."""
    widths = [max(map(len, column)) for column in zip(names, *lines, strict=True)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])
        for line in (names, *lines)
    )
