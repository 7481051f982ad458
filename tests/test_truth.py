"""Truth from labels alone: planted raters, likelihoods by other ways, and too little to go by."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from moot.protocols.reliability.truth import Estimate, dawid_skene, glad


def planted(
    accuracies: Sequence[float], n: int, seed: int
) -> tuple[list[list[int | None]], list[int]]:
    """Return labels of two classes, each right with its rater's probability, and the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, n)
    right = rng.random((n, len(accuracies))) < np.array(accuracies)
    return np.where(right, truth[:, None], 1 - truth[:, None]).tolist(), truth.tolist()


def estimate(labels: Sequence[Sequence[int | None]], classes: int = 2) -> Estimate:
    found = dawid_skene(labels, classes)
    assert found is not None
    return found


def test_planted_accuracies_are_found_and_the_labels_beat_the_majority() -> None:
    accuracies = [0.9, 0.8, 0.7, 0.6, 0.5]
    labels, truth = planted(accuracies, 2000, seed=3)

    found = estimate(labels)

    # With d = 2p - 1 two raters covary by d d', known to sqrt(1/2000). From the best three alone d
    # of the first is sqrt(.48·.32/.24), to 6% of .8; p to half of that, .024; here are three times.
    assert found.reliability == pytest.approx(accuracies, abs=0.07)
    ours = np.argmax(found.truth, 1) == truth
    majority = (np.array(labels).mean(1) > 0.5) == truth
    gain = ours.astype(float) - majority
    assert gain.mean() > 3 * gain.std() / math.sqrt(2000)


def test_a_rater_who_always_says_the_same_has_no_informedness_however_often_it_is_right() -> None:
    labels, truth = planted([0.9, 0.8, 0.8], 1500, seed=1)
    some = [item for item, t in zip(labels, truth, strict=True) if t or len(item) > 5]
    some += [item for item, t in zip(labels, truth, strict=True) if not t][:200]
    found = estimate([[*item, 1] for item in some])

    assert found.reliability[3] > 0.7
    assert found.informedness[3] == pytest.approx(0, abs=1e-3)
    assert found.informedness[0] > 0.6


def test_on_a_class_that_no_item_is_of_raters_guess() -> None:
    found = estimate([[1, 1, 1]] * 20)

    assert found.informedness == pytest.approx([0.5] * 3, abs=1e-3)  # (1 + 1/2) / 2, from chance
    assert found.reliability == pytest.approx([1.0] * 3, abs=1e-3)


def test_the_estimate_is_a_fixed_point_of_the_papers_equations() -> None:
    labels, _ = planted([0.9, 0.75, 0.7, 0.6], 300, seed=5)
    labels = [
        [None if (i + r) % 5 == 0 else x for r, x in enumerate(row)] for i, row in enumerate(labels)
    ]
    found = estimate(labels)

    for i, item in enumerate(labels):  # equation 2.5, a term at a time
        scores = [float(p) for p in found.priors]
        for k in range(2):
            for r, label in enumerate(item):
                scores[k] *= 1 if label is None else float(found.confusion[r, k, label])
        assert [s / sum(scores) for s in scores] == pytest.approx(list(found.truth[i]), abs=1e-3)
    for r in range(4):  # equation 2.3; a hundredth is added to each count
        for k in range(2):
            said = [0.01, 0.01]
            for i, item in enumerate(labels):
                label = item[r]
                if label is not None:
                    said[label] += float(found.truth[i, k])
            assert [s / sum(said) for s in said] == pytest.approx(list(found.confusion[r, k]))
    assert list(found.priors) == pytest.approx(list(np.mean(found.truth, 0)))


def test_the_order_of_raters_and_the_names_of_classes_only_rename_the_estimate() -> None:
    labels, _ = planted([0.9, 0.7, 0.6], 400, seed=6)
    found = estimate(labels)
    turned = estimate([item[::-1] for item in labels])
    swapped = estimate([[None if x is None else 1 - x for x in item] for item in labels])

    assert turned.informedness[::-1] == pytest.approx(found.informedness)
    assert swapped.informedness == pytest.approx(found.informedness)
    assert swapped.truth[:, ::-1] == pytest.approx(found.truth)


def test_four_classes_with_missing_labels_are_told_apart() -> None:
    rng = np.random.default_rng(7)
    truth = rng.integers(0, 4, 1500)
    wrong = (truth[:, None] + rng.integers(1, 4, (1500, 3))) % 4
    said = np.where(rng.random((1500, 3)) < [0.9, 0.7, 0.5], truth[:, None], wrong)
    missing = rng.random((1500, 3)) < 0.1
    labels = [
        [None if m else int(x) for x, m in zip(row, gone, strict=True)]
        for row, gone in zip(said, missing, strict=True)
    ]

    found = estimate(labels, classes=4)

    assert found.reliability == pytest.approx([0.9, 0.7, 0.5], abs=0.08)
    assert found.informedness == pytest.approx(
        [(p - 0.25) / 0.75 for p in (0.9, 0.7, 0.5)], abs=0.11
    )


def test_glad_is_where_the_penalised_likelihood_is_greatest() -> None:
    labels, _ = planted([0.9, 0.8, 0.7, 0.5], 40, seed=8)

    def loss(x: np.ndarray) -> float:
        told = -((x[:4] - 1) @ (x[:4] - 1) + x[4:] @ x[4:]) / 2
        for item, log_ease in zip(labels, x[4:], strict=True):
            right = 1 / (1 + np.exp(-math.exp(log_ease) * x[:4]))
            said = np.array(item)
            told += math.log(sum(np.where(said == k, right, 1 - right).prod() / 2 for k in (0, 1)))
        return float(-told)

    best = optimize.minimize(loss, np.repeat([1.0, 0.0], [4, 40])).x
    found = glad(labels)

    assert found is not None
    assert found.ability == pytest.approx(best[:4].tolist(), abs=0.01)
    assert found.ease == pytest.approx(np.exp(best[4:]).tolist(), abs=0.01)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.lists(st.sampled_from([None, 0, 1, 2]), min_size=3, max_size=3), max_size=6),
)
def test_too_little_to_go_by_gives_probabilities_or_none(labels: list[list[int | None]]) -> None:
    found, able = dawid_skene(labels, 3), glad(labels, 3)

    if all(label is None for item in labels for label in item):
        assert found is able is None
        return
    assert found is not None
    assert able is not None
    for truth in (found.truth, np.array(able.truth)):
        assert truth.min() >= 0
        assert truth.sum(1) == pytest.approx(1)
    assert all(0 <= x <= 1 for x in (*found.informedness, *found.reliability))
    assert np.isfinite([*able.ability, *able.ease]).all()
    assert min(able.ease) > 0


def test_one_rater_and_one_item_are_borne() -> None:
    assert estimate([[1], [0], [1]]).truth.sum(1) == pytest.approx(1)  # more can't be told of one
    assert np.argmax(estimate([[1, None, 1]]).truth, 1).tolist() == [1]
    assert glad([[1]]) is not None
    assert glad([[], []]) is dawid_skene([[], []]) is None


@pytest.mark.parametrize(("label", "classes"), [(2, 2), (-1, 2), (0, 1)])
def test_a_label_of_no_class_is_refused(label: int, classes: int) -> None:
    for method in (dawid_skene, glad):
        with pytest.raises(ValueError, match="classes"):
            method([[0, label, 0]], classes)
