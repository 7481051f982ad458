"""Numbers as they are read: with their intervals, as shares, in words."""

from ..stats import Interval

WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def measured(interval: Interval) -> str:
    """Return a value with its interval, for reading."""
    value, low, high = (f"{x:.2f}".replace("-", "−") for x in interval)
    return value if len({*interval}) == 1 else f"{value} [{low}, {high}]"


def signed(interval: Interval) -> str:
    """Return a difference with its interval, signs always shown."""
    value, low, high = (f"{x:+.2f}".replace("-", "−") for x in interval)
    return f"{value} [{low}, {high}]"


def value(number: float | None, digits: int = 3) -> str:
    """Return a measured number for a table."""
    if number is None:
        return "–"
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.{digits}g}".replace("-", "−")


def share(value: float) -> str:
    """Return a share as a percentage."""
    return f"{100 * value:.0f}%"


def count(n: int, noun: str) -> str:
    """Return `n` of something, in words up to ten."""
    return f"{WORDS[n] if 0 <= n < len(WORDS) else n} {noun}{'' if n == 1 else 's'}"
