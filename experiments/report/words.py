"""Numbers as they are read: with their intervals, as shares, in words."""

from ..analysis.stats import Interval

WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def measured(interval: Interval | None) -> str:
    """Return a value with its interval, for reading; a dash for what isn't known."""
    return "–" if interval is None else _decimals(interval, "")


def signed(interval: Interval) -> str:
    """Return a difference with its interval, if it has one, signs always shown."""
    return _decimals(interval, "+")


def of_any_size(interval: Interval) -> str:
    """Return a measured number that need be no share, with its interval if it has one."""
    if len({*interval}) == 1:
        return value(interval.value)
    if max(map(abs, interval)) < 10:
        return measured(interval)
    return f"{value(interval.value)} [{value(interval.low)}, {value(interval.high)}]"


def _decimals(interval: Interval, sign: str) -> str:
    """Return the value, and its ends unless all are the same.

    With two decimals, or three where one of them would seem to be 0.
    """
    places = 3 if any(0.0005 <= abs(x) < 0.005 for x in interval) else 2
    rounded = (round(x, places) + 0.0 for x in interval)  # + 0.0: there is no -0
    value, low, high = (f"{x:{sign}.{places}f}".replace("-", "−") for x in rounded)
    return value if len({*interval}) == 1 else f"{value} [{low}, {high}]"


def value(number: float | None, digits: int = 3) -> str:
    """Return a measured number for a table: whole where it has more digits than are shown."""
    if number is None:
        return "–"
    whole = abs(number) >= 10**digits - 0.5
    return (f"{number:,.0f}" if whole else f"{number + 0.0:.{digits}g}").replace("-", "−")


def share(value: float) -> str:
    """Return a share as a percentage: of all or of none only if it is."""
    percent = f"{100 * value:.0f}%"
    if percent == "100%" and value < 1:
        return "over 99%"
    return "under 1%" if percent == "0%" and value > 0 else percent


def count(n: int, noun: str) -> str:
    """Return `n` of something, in words up to ten."""
    return f"{WORDS[n] if 0 <= n < len(WORDS) else n} {noun}{'' if n == 1 else 's'}"
