"""Intervals: they hold the truth about as often as they say, and repeat."""

import numpy as np
import pytest
from scipy.stats import binomtest, bootstrap, norm, t

from moot.experiments.analysis.stats import (
    RESAMPLES,
    Interval,
    mean_interval,
    paired_difference,
    resampled_sums,
)


def test_the_interval_lies_around_the_mean() -> None:
    interval = mean_interval([0.0, 0.0, 1.0, 1.0, 1.0], seed=0)

    assert interval is not None
    assert interval.value == pytest.approx(0.6)
    assert 0.0 <= interval.low < 0.6 < interval.high <= 1.0


def test_equal_seeds_give_equal_intervals_and_others_do_not() -> None:
    values = np.random.default_rng(0).random(50).tolist()

    assert mean_interval(values, seed=1) == mean_interval(values, seed=1)
    assert mean_interval(values, seed=1) != mean_interval(values, seed=2)


def test_no_values_have_no_interval() -> None:
    assert mean_interval([], seed=0) is None
    assert paired_difference([], [], seed=0) is None


def test_values_all_alike_have_an_interval_of_no_width() -> None:
    assert mean_interval([1.0] * 9, seed=0) == Interval(1.0, 1.0, 1.0)
    assert mean_interval([0.25], seed=0) == Interval(0.25, 0.25, 0.25)


def test_shares_that_are_all_alike_are_as_sure_as_their_number() -> None:
    least, most = binomtest(8, 8).proportion_ci(), binomtest(0, 8).proportion_ci()

    assert mean_interval([1.0] * 8, seed=0, within=(0, 1)) == pytest.approx((1, least.low, 1))
    assert mean_interval([0.0] * 8, seed=0, within=(0, 1)) == pytest.approx((0, 0, most.high))
    same = paired_difference([1.0, 0.5] * 4, [1.0, 0.5] * 4, seed=0)
    assert same == pytest.approx((0, -most.high, most.high))


def test_scipy_finds_the_same_interval() -> None:
    values = np.random.default_rng(3).beta(2, 5, 80)

    ours = mean_interval(values.tolist(), seed=7)
    theirs = bootstrap(
        (values,),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=1 - 2 * float(norm.cdf(t.ppf(0.025, 79) * (80 / 79) ** 0.5)),
        method="percentile",
        rng=np.random.default_rng(8),
    ).confidence_interval

    assert ours is not None
    # Two draws of 2,000 resamples: their quantiles differ by a few hundredths of the width.
    assert (ours.low, ours.high) == pytest.approx(theirs, abs=0.05 * (ours.high - ours.low))


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    samples = (rng.random((150, 60)) < 0.4).astype(float)  # 150 experiments of 60 tasks
    found = [mean_interval(sample.tolist(), seed) for seed, sample in enumerate(samples)]
    held = np.mean([i is not None and i.low <= 0.4 <= i.high for i in found])

    assert 0.88 <= held <= 0.99  # 0.95, within three standard errors of 150 draws and a little


def test_of_few_tasks_the_interval_is_as_wide_as_students() -> None:
    """Else nothing is taken for something: of 8 tasks the plain percentiles are .78 as wide."""
    for n in (8, 16):
        samples = np.random.default_rng(n).standard_normal((20, n))
        reach = t.ppf(0.975, n - 1) * samples.std(axis=1, ddof=1) / n**0.5
        means = [mean_interval(sample.tolist(), 0) for sample in samples]
        sums = [
            resampled_sums([[x, 1] for x in sample], lambda of: {"it": of[0] / of[1]}, 0).get("it")
            for sample in samples.tolist()
        ]
        for found in (means, sums):
            wide = [i.high - i.low for i in found if i is not None]
            assert np.mean(wide / (2 * reach)) == pytest.approx(1, abs=0.12)


def test_a_lower_level_is_a_narrower_interval() -> None:
    values = np.random.default_rng(0).random(40).tolist()
    wide, narrow = mean_interval(values, 0), mean_interval(values, 0, level=0.5)

    assert wide is not None
    assert narrow is not None
    assert wide.low < narrow.low < narrow.high < wide.high


def test_pairing_takes_out_how_hard_the_tasks_are() -> None:
    rng = np.random.default_rng(0)
    before = rng.random(60)
    after = before + 0.1 + 0.01 * rng.standard_normal(60)
    paired = paired_difference(before.tolist(), after.tolist(), seed=0)
    alone = mean_interval(after.tolist(), seed=0)

    assert paired is not None
    assert alone is not None
    assert paired.value == pytest.approx(0.1, abs=0.01)
    assert paired.high - paired.low < 0.1 * (alone.high - alone.low)


def test_a_difference_of_other_tasks_is_refused() -> None:
    with pytest.raises(ValueError, match="longer"):
        paired_difference([1.0], [1.0, 0.0], seed=0)


def test_the_interval_of_the_opposite_is_the_mirrored_one() -> None:
    values = np.random.default_rng(0).beta(1, 6, 30).tolist()

    def of(sign: int) -> tuple[Interval | None, ...]:
        units = [sign * value for value in values]
        sums = resampled_sums([[x, 1] for x in units], lambda of: {"it": of[0] / of[1]}, 0)
        return mean_interval(units, 0), sums["it"]

    for one, other in zip(of(1), of(-1), strict=True):
        assert one is not None
        assert other == pytest.approx((-one.value, -one.high, -one.low))
