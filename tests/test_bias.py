"""Biases and discrimination: planted ones are found, with intervals that hold what they say."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from moot.experiments.analysis.stats import resampled_all
from moot.protocols.reliability.bias import (
    Both,
    consistency,
    fairness,
    length_bias,
    position_bias,
    stability,
)
from moot.protocols.reliability.discrimination import auc, verification_f1

chances = st.floats(0, 1)
scored = st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.booleans()), max_size=12)


def verdicts(n: int, bias: float, seed: int) -> list[Both]:
    """Return hard verdicts of pairs in both orders: the first place wins by `bias` more often."""
    rng = np.random.default_rng(seed)
    better = rng.choice([-0.3, 0.3], n)  # how much the first reply of each pair is the better
    one = rng.random(n) < 0.5 + bias / 2 + better
    other = rng.random(n) < 0.5 + bias / 2 - better
    return [(float(a), float(b)) for a, b in zip(one, other, strict=True)]


def told(drawn: Sequence[Both]) -> dict[str, float]:
    found = position_bias(drawn)
    return {} if found is None else {"bias": found}


def test_a_planted_taste_for_the_first_place_lies_in_its_interval_and_none_does_not() -> None:
    found = resampled_all(verdicts(400, 0.2, seed=0), told, seed=1)["bias"]

    assert 0 < found.low <= 0.2 <= found.high < 0.4


def test_the_interval_of_a_bias_holds_it_about_as_often_as_it_says() -> None:
    held = 0
    for seed in range(200):
        found = resampled_all(verdicts(50, 0.2, seed), told, seed)["bias"]
        held += found.low <= 0.2 <= found.high

    # Of 200 draws at .95 three standard errors are .046; and 50 pairs cost .02 more.
    assert 0.95 - 0.066 <= held / 200 <= 0.95 + 0.046


@given(st.lists(st.tuples(chances, chances), min_size=1, max_size=8))
def test_who_is_fair_is_no_less_so_with_the_pairs_named_the_other_way(pairs: list[Both]) -> None:
    turned = [(b, a) for a, b in pairs]
    steady, leaning, bias = consistency(pairs), fairness(pairs), position_bias(pairs)

    assert steady == consistency(turned)
    assert leaning == fairness(turned)
    assert bias == pytest.approx(position_bias(turned))
    assert steady is not None
    assert leaning is not None
    assert bias is not None
    assert abs(leaning) <= 1 - steady + 1e-12  # only an inconsistent pair leans
    assert abs(bias) <= 1
    mirrored = [(1 - a, 1 - b) for a, b in pairs]
    assert position_bias(mirrored) == pytest.approx(-bias)


def test_a_coefficient_for_length_is_where_the_penalised_likelihood_is_greatest() -> None:
    pairs = [(900, 100, 1.0), (100, 120, 0.4), (30, 700, 0.3), (50, 50, 0.9), (0, 10, 0.0)]

    def loss(x: np.ndarray) -> float:
        slope, told = float(x[0]), 0.0
        for a, b, p in pairs:
            z = slope * (math.log1p(a) - math.log1p(b))
            told += p * math.log1p(math.exp(-z)) + (1 - p) * math.log1p(math.exp(z))
        return told + 0.1 * slope**2 / 2

    best = float(optimize.minimize(loss, [0.0], tol=1e-12).x[0])
    assert length_bias(pairs) == pytest.approx(best, abs=1e-5)
    assert length_bias([(b, a, 1 - p) for a, b, p in pairs]) == pytest.approx(best, abs=1e-5)


@given(
    st.lists(
        st.tuples(st.integers(0, 10**6), st.integers(0, 10**6), st.sampled_from([0.0, 0.5, 1.0])),
        max_size=6,
    )
)
def test_a_coefficient_for_length_is_finite_where_the_longer_always_wins(
    pairs: list[tuple[int, int, float]],
) -> None:
    found = length_bias(pairs)

    assert (found is None) == all(a == b for a, b, _ in pairs)
    assert found is None or math.isfinite(found)
    always = length_bias([(a, b, float(a > b)) for a, b, _ in pairs if a != b])
    assert always is None or 0 < always < 100


@given(scored)
def test_an_auc_of_the_opposite_is_the_rest_of_one(items: list[tuple[float, bool]]) -> None:
    scores, right = [s for s, _ in items], [t for _, t in items]
    area = auc(scores, right)
    wins = [(a > b) + (a == b) / 2 for a, t in items for b, u in items if t and not u]
    assert area == (pytest.approx(sum(wins) / len(wins)) if wins else None)

    assert (area is None) == (len(set(right)) < 2)
    if area is not None:
        assert auc([-s for s in scores], right) == pytest.approx(1 - area)
        assert auc(scores, [not t for t in right]) == pytest.approx(1 - area)
        assert auc([math.exp(s) for s in scores], right) == area  # only the order counts
    f1 = verification_f1(scores, right)
    assert (f1 is None) == (area is None)
    assert f1 is None or 0 <= f1 <= 1


def test_a_repeated_verdict_that_cant_be_read_is_none_of_the_repeats() -> None:
    assert stability([["a", None, "a"]]) == 1
    assert stability([["a", "b", None, None]]) == 0.5
    assert stability([[None, None], ["a"], []]) is None
