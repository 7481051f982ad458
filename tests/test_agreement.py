"""Agreement: the example of 1971, alpha by its definition, and what may not matter to it."""

from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot.protocols.reliability.agreement import (
    Level,
    alpha,
    cohen_kappa,
    coincidences,
    fleiss_kappa,
    krippendorff_alpha,
)

Ratings = list[list[float | None]]

# Thirty patients, six psychiatrists, five diagnoses: how many made each (Fleiss, 1971, table 1).
DIAGNOSES = """
00060 03003 01401 00006 03030 20400 00402 20310 20040 00006 10050 11040 03300 10050 02031
00501 30012 51000 02040 10203 00006 01050 02013 20040 10041 05010 40002 02040 10500 00006
"""

ratings = st.lists(
    st.lists(st.sampled_from([None, 1.0, 2.0, 3.0]), min_size=3, max_size=3), max_size=8
)
levels = st.sampled_from(list[Level](["nominal", "ordinal", "interval"]))


def test_fleiss_kappa_of_the_diagnoses_of_1971() -> None:
    patients = [[c for c, n in enumerate(row) for _ in range(int(n))] for row in DIAGNOSES.split()]

    assert {len(patient) for patient in patients} == {6}
    assert fleiss_kappa(patients) == pytest.approx(0.430, abs=5e-4)


def between(pooled: list[float], low: float, high: float) -> float:
    """Return how many ratings lie between two values, of which themselves count half."""
    low, high = min(low, high), max(low, high)
    inside = sum(low <= value <= high for value in pooled)
    return inside - (pooled.count(low) + pooled.count(high)) / 2


def by_definition(ratings: Ratings, level: Level) -> float | None:
    """Return alpha from every ordered pair of ratings: in one item, and of any items."""
    items = [[value for value in item if value is not None] for item in ratings]
    items = [item for item in items if len(item) > 1]
    pooled = [value for item in items for value in item]
    apart: dict[Level, Callable[[float, float], float]] = {
        "nominal": lambda a, b: float(a != b),
        "ordinal": lambda a, b: 0.0 if a == b else between(pooled, a, b) ** 2,
        "interval": lambda a, b: (a - b) ** 2,
    }
    one = apart[level]
    seen = sum(one(a, b) / (len(item) - 1) for item in items for a, b in permutations(item, 2))
    chance = sum(one(a, b) for a, b in permutations(pooled, 2)) / max(1, len(pooled) - 1)
    return 1 - seen / chance if chance else None


@given(ratings, levels)
def test_krippendorffs_alpha_is_what_its_definition_says(ratings: Ratings, level: Level) -> None:
    expected = by_definition(ratings, level)

    found = krippendorff_alpha(ratings, level)
    assert found == (None if expected is None else pytest.approx(expected))


@given(ratings, levels, st.permutations(range(3)))
def test_the_order_of_items_and_raters_and_the_names_of_labels_are_nothing(
    ratings: Ratings, level: Level, order: list[int]
) -> None:
    turned = [[item[r] for r in order] for item in reversed(ratings)]
    renamed = [
        [None if v is None else {1.0: 9.0, 2.0: -4.0, 3.0: 0.5}[v] for v in i] for i in turned
    ]
    pairs = [(item[0], item[1]) for item in ratings]

    assert same(krippendorff_alpha(ratings, level), krippendorff_alpha(turned, level))
    assert same(krippendorff_alpha(ratings), krippendorff_alpha(renamed))
    assert same(fleiss_kappa(ratings), fleiss_kappa(renamed))
    assert same(cohen_kappa(pairs), cohen_kappa([(b, a) for a, b in reversed(pairs)]))
    kappa = cohen_kappa(pairs)
    assert kappa is None or kappa <= 1


def same(one: float | None, other: float | None) -> bool:
    return one is other is None or (one is not None and one == pytest.approx(other))


@given(ratings, st.sampled_from([1e-200, 0.1, 1e9]), st.floats(-3, 3))
def test_the_unit_of_an_interval_is_nothing_and_of_ranks_neither_are_the_gaps(
    ratings: Ratings, unit: float, shift: float
) -> None:
    shift *= unit
    scaled = [[None if v is None else unit * v + shift for v in item] for item in ratings]
    bent = [[None if v is None else v**5 for v in item] for item in ratings]

    alpha = krippendorff_alpha(ratings, "interval")
    assert krippendorff_alpha(scaled, "interval") == (
        None if alpha is None else pytest.approx(alpha, abs=1e-6)
    )
    assert same(krippendorff_alpha(ratings, "ordinal"), krippendorff_alpha(bent, "ordinal"))


def test_agreement_without_a_spread_is_none_and_without_agreement_is_at_or_below_0() -> None:
    assert krippendorff_alpha([]) is krippendorff_alpha([[1.0], [2.0]]) is None
    assert krippendorff_alpha([[None, None]]) is fleiss_kappa([[], []]) is None
    assert fleiss_kappa([["a", "b"], ["b", "a"]]) == pytest.approx(-1)
    assert cohen_kappa([("a", "b"), ("b", "a")]) == pytest.approx(-1)
    assert cohen_kappa([("a", "a"), ("a", "b")]) == 0  # one of the two says nothing


@given(st.lists(st.tuples(ratings, st.integers(0, 3)), max_size=4), levels)
def test_items_drawn_anew_agree_by_their_coincidences_as_they_do_one_by_one(
    units: list[tuple[Ratings, int]], level: Level
) -> None:
    values = 1.0, 2.0, 3.0
    tables = [n * coincidences(items, values) for items, n in units]
    drawn = [item for items, n in units for item in items * n]

    found = alpha(sum(tables, np.zeros((3, 3))), values, level)

    assert same(found, by_definition(drawn, level))
