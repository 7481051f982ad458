"""How likely each choice is, and which is given."""

import math
from collections import Counter

import pytest

from moot.agents.choices import drawn, shares


def test_shares_are_probabilities_beside_each_other() -> None:
    # .02 and .06 of all that could be said: a quarter and three quarters of what may be.
    assert shares([(5,), (6,)], [math.log(0.02), math.log(0.06)]) == pytest.approx((0.25, 0.75))


def test_a_choice_that_goes_on_as_a_longer_one_is_that_one() -> None:
    # P(1...) = .5, of which .2 go on as 10 and, of those, .05 as 100; P(2...) = .1.
    ids, begins = [(1,), (1, 0), (1, 0, 0), (2,)], [0.5, 0.2, 0.05, 0.1]

    found = shares(ids, [math.log(p) for p in begins])

    assert found == pytest.approx((0.3 / 0.6, 0.15 / 0.6, 0.05 / 0.6, 0.1 / 0.6))


def test_what_is_all_but_impossible_is_still_shared_out() -> None:
    assert shares([(5,), (6,)], [-2000.0, -2000.0]) == (0.5, 0.5)
    assert shares([(5,)], [-2000.0]) == (1.0,)
    # Rounding may make the longer one the likelier by a hair: nothing is left of the shorter.
    assert shares([(1,), (1, 0)], [-1.0, -1.0 + 1e-12]) == (0.0, 1.0)


def test_the_likeliest_is_given_at_temperature_zero_and_others_as_often_as_they_should() -> None:
    assert drawn((0.4, 0.4, 0.2), 0, 7) == 0
    many = Counter(drawn((0.9, 0.1), 1, seed) for seed in range(4000))
    assert abs(many[1] - 400) < 3.3 * math.sqrt(4000 * 0.9 * 0.1)
    hot = Counter(drawn((0.9, 0.1), 2, seed) for seed in range(4000))  # 3 : 1
    assert abs(hot[1] - 1000) < 3.3 * math.sqrt(4000 * 0.75 * 0.25)
    assert drawn((0.9, 0.1), 1, 3) == drawn((0.9, 0.1), 1, 3)
    assert {drawn((1.0, 0.0), 2, seed) for seed in range(50)} == {0}
