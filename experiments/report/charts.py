"""Charts: where lines, bands and ticks go; the page draws them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite, log10
from statistics import fmean

MOST_POINTS = 400
"""More points than this on a line are averaged, neighbours together."""


@dataclass(frozen=True, slots=True)
class Point:
    """A value, and its interval where it has one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """Points that belong together."""

    name: str
    points: tuple[Point, ...]
    level: bool = False
    """Whether it is one value that holds all along, drawn as a dashed line across."""


@dataclass(frozen=True, slots=True)
class Line:
    """A series on the page; the paths are those of SVG."""

    name: str
    path: str
    band: str
    dots: tuple[tuple[float, float], ...]
    level: bool
    last: Point
    averaged: int
    """How many neighbours each point is the mean of."""


@dataclass(frozen=True, slots=True)
class Chart:
    """All there is to draw, in the units of a page `width` by `height`."""

    title: str
    about: str
    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    marks: tuple[float, ...]
    lines: tuple[Line, ...]


def chart(
    title: str,
    series: Sequence[Series],
    *,
    x_title: str,
    share: bool = False,
    marks: Iterable[float] = (),
    width: int = 380,
    height: int = 206,
) -> Chart | None:
    """Return the chart of `series`; `None`: there is nothing to draw.

    Args:
        title: what it shows.
        series: at least one point in all; points that are not finite are left out.
        x_title: what runs along the bottom, in a word; the first tick bears it.
        share: whether values are shown on the whole of [0, 1], if they all lie in it: rewards may
            not.
        marks: places along the bottom where something begins, drawn as faint lines.
        width: of the page; letters keep their size.
        height: of the page.
    """
    kept = [s for s in map(_finite, series) if s.points]
    if not kept:
        return None
    left, right, top, bottom = 50, width - 16, 14, height - 28
    xs = [p.x for s in kept for p in s.points]
    x_ticks = ticks(min(xs), max(xs), 6, whole=True)
    low, high = _reach(kept)
    y_ticks = [0, 0.25, 0.5, 0.75, 1.0] if share and 0 <= low <= high <= 1 else ticks(low, high, 5)
    x_span = (min(xs), max(xs)) if max(xs) > min(xs) else (min(xs) - 1, max(xs) + 1)
    y_span = (y_ticks[0], y_ticks[-1])

    def at_x(x: float) -> float:
        return round(left + (x - x_span[0]) / (x_span[1] - x_span[0]) * (right - left), 1)

    def at_y(y: float) -> float:
        return round(bottom - (y - y_span[0]) / (y_span[1] - y_span[0]) * (bottom - top), 1)

    def line(s: Series) -> Line:
        points, averaged = _thinned(s.points)
        places = [(at_x(p.x), at_y(p.y)) for p in points]
        path = "M" + "L".join(f"{x} {y}" for x, y in places)
        upper = [(at_x(p.x), at_y(p.high)) for p in points if p.high is not None]
        lower = [(at_x(p.x), at_y(p.low)) for p in points if p.low is not None]
        around = [*upper, *reversed(lower)]
        band = "M" + "L".join(f"{x} {y}" for x, y in around) + "Z" if len(around) > 2 else ""
        if s.level:
            path = f"M{left} {places[-1][1]}H{right}"
            band = f"M{right} {upper[-1][1]}V{lower[-1][1]}" if upper and lower else ""
        dots = tuple(places) if len(places) <= 24 and not s.level else ()
        return Line(s.name, path, band, dots, s.level, s.points[-1], averaged)

    return Chart(
        title=title,
        about=f"{title}. " + " ".join(map(_told, kept)),
        width=width,
        height=height,
        left=left,
        right=right,
        top=top,
        bottom=bottom,
        x_ticks=tuple(
            (at_x(x), f"{x:g}" if i else f"{x_title} {x:g}")
            for i, x in enumerate(x for x in x_ticks if x_span[0] <= x <= x_span[1])
        ),
        y_ticks=tuple((at_y(y), f"{y:g}".replace("-", "−")) for y in y_ticks),
        marks=tuple(at_x(x) for x in marks if x_span[0] < x < x_span[1]),
        lines=tuple(map(line, kept)),
    )


def ticks(low: float, high: float, most: int, whole: bool = False) -> list[float]:
    """Return round numbers at equal steps, at most about `most`, that enclose [low, high]."""
    if high - low <= 1e-9 * max(abs(low), abs(high)):  # what lies between is rounding
        low, high = (
            (low, high) if whole else (low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2)
        )
    if high == low:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** floor(log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * 0.999)
    step = max(1, ceil(step)) if whole else step
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    return [float(f"{i * step:.12g}") for i in range(first, last + 1)]


def _reach(series: Sequence[Series]) -> tuple[float, float]:
    ends = [
        end for s in series for p in s.points for end in (p.y, p.low, p.high) if end is not None
    ]
    return min(ends), max(ends)


def _finite(series: Series) -> Series:
    points = tuple(
        p for p in series.points if all(map(isfinite, (p.x, p.y, p.low or 0, p.high or 0)))
    )
    return Series(series.name, points, series.level)


def _thinned(points: tuple[Point, ...]) -> tuple[list[Point], int]:
    """Return at most `MOST_POINTS` points, means of so many neighbours each."""
    n = ceil(len(points) / MOST_POINTS)
    if n == 1:
        return list(points), 1
    some = [points[i : i + n] for i in range(0, len(points), n)]
    return [Point(fmean(p.x for p in near), fmean(p.y for p in near)) for near in some], n


def _told(series: Series) -> str:
    first, last = series.points[0], series.points[-1]
    if len(series.points) == 1:
        return f"{series.name}: {last.y:.3g}."
    return f"{series.name}: from {first.y:.3g} at {first.x:g} to {last.y:.3g} at {last.x:g}."
