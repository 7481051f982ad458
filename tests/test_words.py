"""Words: numbers are read as what they are."""

import pytest

from moot.experiments.analysis.stats import Interval
from moot.experiments.report.words import measured, share, signed, value


@pytest.mark.parametrize(
    ("number", "digits", "read"),
    [
        (999.4, 3, "999"),
        (999.7, 3, "1,000"),
        (-1234.0, 3, "−1,234"),
        (99.7, 2, "100"),
        (250.0, 2, "250"),
        (0.01234, 3, "0.0123"),
        (-0.0, 3, "0"),
        (None, 3, "–"),
    ],
)
def test_a_number_of_a_table_has_no_exponent_for_being_rounded(
    number: float | None, digits: int, read: str
) -> None:
    assert value(number, digits) == read


def test_what_is_not_nothing_does_not_read_as_nothing() -> None:
    assert signed(Interval(0.02, 0.001, 0.0349)) == "+0.020 [+0.001, +0.035]"
    assert measured(Interval(0.004, 0.001, 0.0045)) == "0.004 [0.001, 0.004]"
    assert signed(Interval(0.25, -0.5, 1.0)) == "+0.25 [−0.50, +1.00]"
    assert signed(Interval(0.0, -1e-17, 1e-17)) == "+0.00 [+0.00, +0.00]"


def test_all_and_none_are_said_of_all_and_none() -> None:
    assert [share(x) for x in (0, 0.004, 0.5, 0.994, 0.996, 1)] == [
        *("0%", "under 1%", "50%", "99%", "over 99%", "100%")
    ]
