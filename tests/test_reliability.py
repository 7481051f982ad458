"""Statistics of judges: against published examples, planted truths and other ways to the same."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from moot.protocols.reliability.agreement import (
    Level,
    cohen_kappa,
    fleiss_kappa,
    krippendorff_alpha,
)
from moot.protocols.reliability.bias import (
    consistency,
    fairness,
    length_bias,
    position_bias,
    stability,
)
from moot.protocols.reliability.discrimination import auc, verification_f1
from moot.protocols.reliability.rating import bradley_terry
from moot.protocols.reliability.truth import dawid_skene, glad

# Four observers, twelve units (Krippendorff, 2011); a dot is missing.
OBSERVED = ["123321412...", "1233224125.3", ".3332342251.", "12332441251."]
UNITS = [[None if c == "." else float(c) for c in unit] for unit in zip(*OBSERVED, strict=True)]

# Ten subjects, fourteen raters, five categories (Fleiss' worked example): kappa is .210.
COUNTS = [
    (0, 0, 0, 0, 14),
    (0, 2, 6, 4, 2),
    (0, 0, 3, 5, 6),
    (0, 3, 9, 2, 0),
    (2, 2, 8, 1, 1),
    (7, 7, 0, 0, 0),
    (3, 2, 6, 3, 0),
    (2, 5, 3, 2, 2),
    (6, 5, 2, 1, 0),
    (0, 2, 2, 3, 7),
]


def test_cohens_kappa_of_a_table() -> None:
    # 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: .7 agree, .5·.6 + .5·.4 = .5 would by chance.
    pairs = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15

    assert cohen_kappa(pairs) == pytest.approx(0.4)
    assert cohen_kappa([*pairs, (None, "y"), ("n", None)]) == pytest.approx(0.4)


def test_fleiss_kappa_of_the_worked_example() -> None:
    ratings = [[label for label, n in enumerate(row) for _ in range(n)] for row in COUNTS]

    assert fleiss_kappa(ratings) == pytest.approx(0.210, abs=5e-4)
    two = [(0, 1), (1, 1), (0, 0)]  # P = 2/3, P_e = 1/2
    assert fleiss_kappa(two) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("level", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)]
)
def test_krippendorffs_alpha_of_the_published_example(level: Level, alpha: float) -> None:
    assert krippendorff_alpha(UNITS, level) == pytest.approx(alpha, abs=5e-4)


def test_krippendorffs_alpha_is_one_minus_the_ratio_of_disagreements() -> None:
    # By hand, over all ordered pairs of ratings in a unit, and then of any two of them.
    units = [[v for v in unit if v is not None] for unit in UNITS]
    units = [unit for unit in units if len(unit) > 1]
    pooled = [v for unit in units for v in unit]
    within = sum(
        2 * (a - b) ** 2 / (len(unit) - 1) for unit in units for a, b in combinations(unit, 2)
    )
    across = sum(2 * (a - b) ** 2 for a, b in combinations(pooled, 2)) / (len(pooled) - 1)

    assert krippendorff_alpha(UNITS, "interval") == pytest.approx(1 - within / across)


@given(
    st.lists(st.lists(st.sampled_from([None, 0.0, 1.0, 2.0]), min_size=3, max_size=3), max_size=8)
)
def test_agreement_is_at_most_one_and_the_order_of_raters_is_nothing(
    ratings: list[list[float | None]],
) -> None:
    turned = [item[::-1] for item in ratings]
    for statistic in (fleiss_kappa, krippendorff_alpha):
        found = statistic(ratings)
        assert found is None or found <= 1 + 1e-12
        assert statistic(turned) == (None if found is None else pytest.approx(found))


def test_what_cant_be_told_is_none() -> None:
    assert cohen_kappa([]) is None
    assert cohen_kappa([("y", "y")] * 9) is None
    assert fleiss_kappa([["y"], [None, "n"]]) is None
    assert krippendorff_alpha([[1.0, 1.0], [1.0, None]]) is None
    assert auc([0.5, 0.7], [True, True]) is None
    assert auc([], []) is None
    assert verification_f1([0.9], [True]) is None
    assert dawid_skene([[None, None]]) is None
    assert dawid_skene([]) is None
    assert glad([]) is None
    assert bradley_terry([]) == {}
    assert position_bias([]) is consistency([]) is fairness([]) is None
    assert length_bias([(5, 5, 0.7)]) is None
    assert stability([["a"], [None]]) is None


def planted(accuracies: list[float], n: int, seed: int = 0) -> tuple[list[list[int]], list[int]]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, n)
    right = rng.random((n, len(accuracies))) < np.array(accuracies)
    return np.where(right, truth[:, None], 1 - truth[:, None]).tolist(), truth.tolist()


def test_dawid_and_skene_find_planted_raters_and_do_better_than_the_majority() -> None:
    accuracies, n = [0.9, 0.8, 0.7, 0.6, 0.5], 4000
    labels, truth = planted(accuracies, n)

    found = dawid_skene(labels)

    assert found is not None
    right = np.einsum("rkk->rk", found.confusion).mean(1)
    assert right == pytest.approx(accuracies, abs=0.04)
    assert found.informedness == pytest.approx([0.8, 0.6, 0.4, 0.2, 0.0], abs=0.08)
    ours = np.mean(found.truth.argmax(1) == truth)
    majority = np.mean((np.array(labels).mean(1) > 0.5) == truth)
    assert ours > majority + 0.02
    # With the accuracies known no labels can be righter than the weighted vote by their log-odds.
    weights = np.log(np.array(accuracies) / (1 - np.array(accuracies)))
    best = np.mean(((2 * np.array(labels) - 1) @ weights > 0) == truth)
    assert ours == pytest.approx(best, abs=0.01)


def test_dawid_and_skene_bear_what_is_missing() -> None:
    labels, truth = planted([0.9, 0.8, 0.7], 3000, seed=1)
    rng = np.random.default_rng(2)
    some: list[list[int | None]] = [
        [x if rng.random() < 0.7 else None for x in row] for row in labels
    ]

    found = dawid_skene(some)

    assert found is not None
    assert np.einsum("rkk->rk", found.confusion).mean(1) == pytest.approx([0.9, 0.8, 0.7], abs=0.06)
    assert np.mean(found.truth.argmax(1) == truth) > 0.8


def test_glad_finds_who_is_able_and_what_is_hard() -> None:
    rng = np.random.default_rng(3)
    ability, ease = np.array([3.0, 2.0, 1.0, 0.0]), np.exp(rng.normal(0, 1, 1500))
    truth = rng.integers(0, 2, 1500)
    p = 1 / (1 + np.exp(-np.outer(ease, ability)))
    labels = np.where(rng.random(p.shape) < p, truth[:, None], 1 - truth[:, None]).tolist()

    found = glad(labels)

    assert found is not None
    assert np.argsort(found.ability).tolist() == [3, 2, 1, 0]
    assert found.ability[3] == pytest.approx(0, abs=0.25)
    assert np.corrcoef(np.log(found.ease), np.log(ease))[0, 1] > 0.3
    ours = np.mean(np.argmax(found.truth, 1) == truth)
    assert ours >= np.mean((np.array(labels).mean(1) > 0.5) == truth)


def test_bradley_and_terry_find_planted_strengths() -> None:
    rng = np.random.default_rng(4)
    strengths = {"a": 1.0, "b": 0.3, "c": -0.2, "d": -1.1}
    games = [
        (one, other, float(rng.random() < 1 / (1 + math.exp(strengths[other] - strengths[one]))))
        for one, other in combinations(strengths, 2)
        for _ in range(1500)
    ]

    found = bradley_terry(games)

    # A comparison of two tells about 1500·p(1-p) ≥ 240 of each difference: its error is below .065.
    assert dict(found) == pytest.approx(strengths, abs=0.2)


def test_bradley_and_terry_are_where_the_likelihood_is_greatest() -> None:
    games = [("a", "b", 1.0), ("a", "b", 0.5), ("b", "c", 0.7), ("c", "a", 0.2), ("d", "a", 0.0)]

    def loss(x: np.ndarray) -> float:
        theta = dict(zip("abcd", x, strict=True))
        told = 0.0
        for one, other, p in games:
            gap = theta[one] - theta[other]
            told += p * math.log1p(math.exp(-gap)) + (1 - p) * math.log1p(math.exp(gap))
        return told + 0.1 * float(x @ x) / 2

    best = optimize.minimize(loss, np.zeros(4), tol=1e-12).x

    assert list(bradley_terry(games).values()) == pytest.approx(list(best - best.mean()), abs=1e-4)


def test_auc_counts_pairs() -> None:
    scores, right = [0.9, 0.4, 0.4, 0.1, 0.6], [True, True, False, False, False]

    pairs = [
        (a, b)
        for a, t in zip(scores, right, strict=True)
        if t
        for b, f in zip(scores, right, strict=True)
        if not f
    ]
    by_hand = sum((a > b) + 0.5 * (a == b) for a, b in pairs) / len(pairs)
    assert auc(scores, right) == pytest.approx(by_hand) == pytest.approx(4.5 / 6)
    assert auc([-s for s in scores], right) == pytest.approx(1 - 4.5 / 6)


def test_f1_of_verification_is_the_harmonic_mean_of_two_accuracies() -> None:
    assert verification_f1([0.9, 0.2, 0.1, 0.3, 0.8], [True, True, False, False, False]) == (
        pytest.approx(2 * 0.5 * (2 / 3) / (0.5 + 2 / 3))
    )
    assert verification_f1([0.1, 0.9], [True, False]) == 0


def test_biases_of_pairs_by_hand() -> None:
    # Shown (a, b): a wins by .9; shown (b, a): b wins by .3. And so on.
    pairs = [(0.9, 0.3), (0.8, 0.7), (0.4, 0.4), (0.2, 0.6)]

    assert position_bias(pairs) == pytest.approx((0.2 + 0.5 - 0.2 - 0.2) / 4)
    assert consistency(pairs) == 0.5
    assert fairness(pairs) == 0.25 - 0.25
    assert fairness([(0.8, 0.7), (0.9, 0.3)]) == 0.5
    assert consistency([(0.5, 0.5)]) == 0
    assert stability([["a", "a", "b"], ["b", None, "b"]]) == pytest.approx((2 / 3 + 1) / 2)


def test_a_planted_liking_for_length_is_found() -> None:
    rng = np.random.default_rng(5)
    lengths = rng.integers(10, 1000, (5000, 2))
    gap = np.log1p(lengths[:, 0]) - np.log1p(lengths[:, 1])
    won = (rng.random(5000) < 1 / (1 + np.exp(-0.7 * gap))).astype(float)
    pairs = [(int(a), int(b), float(w)) for (a, b), w in zip(lengths, won, strict=True)]

    assert length_bias(pairs) == pytest.approx(0.7, abs=0.1)
    assert length_bias([(a, b, 0.5) for a, b, _ in pairs]) == pytest.approx(0, abs=1e-6)
