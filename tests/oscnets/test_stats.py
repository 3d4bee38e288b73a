"""oscnets.stats against hand-worked numbers and scipy."""

import numpy as np
import pytest
from scipy import stats as scipy_stats

from oscnets import stats


def test_summary_of_a_hand_worked_sample():
    result = stats.summarize([1.0, 2.0, 3.0, 4.0])
    # Variance (2.25 + 0.25 + 0.25 + 2.25) / 3 = 5/3; the 97.5 % quantile of t with 3 degrees of freedom is 3.182446.
    half = 3.182446 * np.sqrt(5 / 3) / 2
    assert result.n == 4
    np.testing.assert_allclose(result.mean, 2.5)
    np.testing.assert_allclose(result.std, np.sqrt(5 / 3))
    np.testing.assert_allclose([result.low, result.high], [2.5 - half, 2.5 + half], rtol=1e-6)


def test_interval_equals_scipy_and_follows_the_axis():
    values = np.random.default_rng(0).normal(size=(3, 7, 2))
    result = stats.summarize(values, axis=1, confidence=0.9)
    low, high = scipy_stats.t.interval(0.9, 6, loc=values.mean(1), scale=scipy_stats.sem(values, axis=1))
    np.testing.assert_allclose(result.low, low)
    np.testing.assert_allclose(result.high, high)
    assert result.mean.shape == (3, 2)


def test_one_seed_has_a_mean_but_no_interval_and_none_has_nothing():
    result = stats.summarize([[0.5, np.nan], [np.nan, np.nan]])
    np.testing.assert_array_equal(result.n, [1, 0])
    np.testing.assert_array_equal(result.mean, [0.5, np.nan])
    assert np.isnan(np.stack([result.std, result.low, result.high])).all()


def test_nan_is_left_out():
    holed = stats.summarize([1.0, np.nan, 2.0, 4.0])
    full = stats.summarize([1.0, 2.0, 4.0])
    np.testing.assert_allclose(holed, full)


@pytest.mark.parametrize(
    ("values", "confidence", "message"),
    [(1.0, 0.95, "scalar"), ([1.0, np.inf], 0.95, "infinite"), ([1.0, 2.0], 95, r"\(0, 1\), got 95")],
)
def test_summarize_refuses(values, confidence, message):
    with pytest.raises(ValueError, match=message):
        stats.summarize(values, confidence=confidence)


def test_paired_test_of_a_hand_worked_sample():
    # Differences 1, 2, 3: mean 2, standard error 1/sqrt(3), t = 2 sqrt(3); with 2 degrees of freedom
    # p = 1 - t / sqrt(2 + t^2) = 1 - sqrt(12/14).
    result = stats.paired_t_test([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    assert (result.n, result.difference) == (3, 2.0)
    assert result.statistic == pytest.approx(2 * np.sqrt(3))
    assert result.p_value == pytest.approx(1 - np.sqrt(12 / 14))


def test_paired_test_drops_incomplete_pairs_and_equals_scipy():
    x, y = np.random.default_rng(1).normal(size=(2, 9))
    x[2], y[5] = np.nan, np.nan
    keep = [0, 1, 3, 4, 6, 7, 8]
    expected = scipy_stats.ttest_rel(x[keep], y[keep])
    result = stats.paired_t_test(x, y)
    assert result.n == 7
    assert result.statistic == pytest.approx(expected.statistic)
    assert result.p_value == pytest.approx(expected.pvalue)


@pytest.mark.parametrize("equal_variances", [False, True])
def test_independent_test_equals_scipy(equal_variances):
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=6), rng.normal(1.0, 3.0, size=9)
    expected = scipy_stats.ttest_ind(x, y, equal_var=equal_variances)
    result = stats.independent_t_test(x, y, equal_variances=equal_variances)
    assert result.statistic == pytest.approx(expected.statistic)
    assert result.p_value == pytest.approx(expected.pvalue)


def test_independent_test_with_one_constant_group():
    # Welch's statistic then is the one-sample test of the other group.
    expected = scipy_stats.ttest_1samp([1.0, 2.0, 4.0], 0.5)
    result = stats.independent_t_test([1.0, 2.0, 4.0], [0.5, 0.5, 0.5])
    assert result.statistic == pytest.approx(expected.statistic)
    assert result.p_value == pytest.approx(expected.pvalue)


def test_one_sample_test_equals_scipy():
    values = np.random.default_rng(3).normal(0.5, 0.1, 8)
    result = stats.one_sample_t_test([*values, np.nan], 0.45)
    expected = scipy_stats.ttest_1samp(values, 0.45)
    assert (result.n, result.difference) == (8, pytest.approx(values.mean() - 0.45))
    assert (result.statistic, result.p_value) == (pytest.approx(expected.statistic), pytest.approx(expected.pvalue))
    assert np.isnan(stats.one_sample_t_test([0.3], 0.45).p_value)


@pytest.mark.parametrize("test", [stats.paired_t_test, stats.independent_t_test])
def test_tests_without_variation(test):
    same = test([0.3, 0.3, 0.3], [0.3, 0.3, 0.3])
    assert (same.n, same.statistic, same.p_value) == (3, 0.0, 1.0)
    apart = test([0.1, 0.1], [0.4, 0.4])
    assert apart.difference == pytest.approx(-0.3)
    assert apart.statistic == -np.inf
    assert np.isnan(apart.p_value)


def test_differences_that_vary_by_rounding_alone_have_no_p():
    base = np.float32([0.1, 0.7, 0.45])
    assert np.isnan(stats.paired_t_test(base + np.float32(0.012), base).p_value)


@pytest.mark.parametrize("test", [stats.paired_t_test, stats.independent_t_test])
def test_too_few_values(test):
    one = test([0.5, np.nan], [0.25, np.nan])
    assert (one.n, one.difference) == (1, 0.25)
    assert np.isnan([one.statistic, one.p_value]).all()
    none = test([], [])
    assert none.n == 0
    assert np.isnan(none[1:]).all()


def test_tests_refuse_bad_input():
    with pytest.raises(ValueError, match="equal length, got 2 and 3"):
        stats.paired_t_test([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"second must be a vector, got shape \(1, 2\)"):
        stats.independent_t_test([1.0], [[1.0, 2.0]])
    with pytest.raises(ValueError, match="infinite"):
        stats.paired_t_test([np.inf, 1.0], [1.0, 2.0])


def test_benjamini_yekutieli_of_a_hand_worked_family():
    # c(3) = 1 + 1/2 + 1/3 = 11/6; p (m / rank) c: 0.01 * 3 * c, 0.04 * 1.5 * c, 0.05 * c, cut by the ones after.
    c = 11 / 6
    adjusted = stats.benjamini_yekutieli([0.05, 0.01, np.nan, 0.04])
    np.testing.assert_allclose(adjusted, [0.05 * c, 0.03 * c, np.nan, 0.05 * c])


def test_benjamini_yekutieli_keeps_shape_and_empty_families():
    p = np.random.default_rng(3).uniform(size=(4, 5))
    expected = scipy_stats.false_discovery_control(p.ravel(), method="by").reshape(4, 5)
    np.testing.assert_allclose(stats.benjamini_yekutieli(p), expected)
    assert np.isnan(stats.benjamini_yekutieli([np.nan, np.nan])).all()
    assert stats.benjamini_yekutieli([]).shape == (0,)
    with pytest.raises(ValueError, match=r"\[0, 1\], got 1.5"):
        stats.benjamini_yekutieli([0.1, 1.5])
