"""Statistics over seeds: mean and interval, t-tests, false discovery rate.

NaN means "not measured": it is left out, and `n` counts the others. Infinite values are refused. The value of a run
that diverged is neither: whoever leaves it out has to say so beside the mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats as _scipy_stats

__all__ = [
    "Summary",
    "TestResult",
    "benjamini_yekutieli",
    "independent_t_test",
    "one_sample_t_test",
    "paired_t_test",
    "summarize",
]


def __dir__() -> list[str]:
    return __all__


# A spread below this share of the values is rounding, not variation: scores are computed in float32.
_ROUNDING = 4 * float(np.finfo(np.float32).eps)


class Summary(NamedTuple):
    """Summary over seeds: arrays of the input's shape without the seed axis. Undefined entries are NaN."""

    n: NDArray[np.int64]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


class TestResult(NamedTuple):
    """A two-sided t-test. `n` is the number of pairs, or the smaller group's size; undefined numbers are NaN."""

    n: int
    difference: float
    statistic: float
    p_value: float


TestResult.__test__ = False  # pytest would otherwise try to collect it by its name


def summarize(values: ArrayLike, axis: int = 0, confidence: float = 0.95) -> Summary:
    """Mean, sample standard deviation and Student-t interval of the mean along `axis`.

    Args:
        values: any shape with at least one axis, any unit. NaN entries are left out.
        axis: the axis of the seeds.
        confidence: coverage of the interval, in (0, 1).

    Returns:
        A `Summary` with `n` the number of finite entries. The mean is NaN where n = 0; the standard deviation (n - 1 in
        the denominator) and the interval mean +- t(n - 1) std / sqrt(n) are NaN where n < 2.

    Raises:
        ValueError: a scalar, an infinite value, or `confidence` outside (0, 1).
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie in (0, 1), got {confidence}")
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 0:
        raise ValueError(f"summarize needs at least one axis, got the scalar {array}")
    if np.isinf(array).any():
        raise ValueError("values must be finite or NaN, got an infinite one")
    array = np.moveaxis(array, axis, 0)
    measured = ~np.isnan(array)
    count = measured.sum(axis=0)
    mean = _divide(np.where(measured, array, 0.0).sum(axis=0), count, count >= 1)
    squares = np.where(measured, (array - mean) ** 2, 0.0).sum(axis=0)
    std = np.sqrt(_divide(squares, count - 1, count >= 2))
    # Where the quantile is undefined, that of one degree of freedom is taken; std is NaN there, and so is the product.
    quantile = _scipy_stats.t.ppf(0.5 + confidence / 2, np.maximum(count - 1, 1))
    half = quantile * std / np.sqrt(np.maximum(count, 1))
    return Summary(np.asarray(count), mean, std, mean - half, mean + half)


def paired_t_test(first: ArrayLike, second: ArrayLike) -> TestResult:
    """Two-sided paired t-test of mean(first - second) = 0 (Student).

    Args:
        first, second: (n,) values, entry i of both from the same seed. A pair with a NaN is left out.

    Returns:
        `TestResult` with difference = mean(first - second). With fewer than two pairs statistic and p are NaN. Where
        the differences do not vary, the t statistic is undefined: p = 1 and statistic 0 where they are all zero, else p
        is NaN and the statistic infinite.

    Raises:
        ValueError: the two are not vectors of one length, or hold an infinite value.
    """
    x, y = _vector("first", first), _vector("second", second)
    if x.shape != y.shape:
        raise ValueError(f"paired values must have equal length, got {x.shape[0]} and {y.shape[0]}")
    both = ~(np.isnan(x) | np.isnan(y))
    x, y = x[both], y[both]
    if x.size == 0:
        return TestResult(0, np.nan, np.nan, np.nan)
    differences = x - y
    mean = float(differences.mean())
    if x.size == 1:
        return TestResult(1, mean, np.nan, np.nan)
    if np.ptp(differences) <= _ROUNDING * max(np.abs(x).max(), np.abs(y).max()):
        return _without_variation(x.size, mean, x, y)
    result = _scipy_stats.ttest_rel(x, y)
    return TestResult(int(x.size), mean, float(result.statistic), float(result.pvalue))


def independent_t_test(first: ArrayLike, second: ArrayLike, *, equal_variances: bool = False) -> TestResult:
    """Two-sided t-test of equal means of two independent groups: Welch's, or Student's with `equal_variances`.

    Args:
        first: (n,) values; second: (m,) values. NaN entries are left out.
        equal_variances: pool the two variances.

    Returns:
        `TestResult` with difference = mean(first) - mean(second). With fewer than two values in either group statistic
        and p are NaN. Where neither group varies: p = 1 and statistic 0 for equal means, else p NaN and an infinite
        statistic.

    Raises:
        ValueError: not vectors, or an infinite value.
    """
    x, y = _vector("first", first), _vector("second", second)
    x, y = x[~np.isnan(x)], y[~np.isnan(y)]
    n = min(x.size, y.size)
    if n == 0:
        return TestResult(0, np.nan, np.nan, np.nan)
    difference = float(x.mean() - y.mean())
    if n == 1:
        return TestResult(1, difference, np.nan, np.nan)
    if max(np.ptp(x), np.ptp(y)) <= _ROUNDING * max(np.abs(x).max(), np.abs(y).max()):
        return _without_variation(n, difference, x, y)
    # From moments: scipy's test of the samples warns when one of the two groups does not vary.
    result = _scipy_stats.ttest_ind_from_stats(
        x.mean(), x.std(ddof=1), x.size, y.mean(), y.std(ddof=1), y.size, equal_var=equal_variances
    )
    return TestResult(int(n), difference, float(result.statistic), float(result.pvalue))


def one_sample_t_test(values: ArrayLike, mean: float) -> TestResult:
    """Two-sided t-test of the mean of a group against a given number (Student).

    Args:
        values: (n,). NaN entries are left out.
        mean: the number, in the same unit.

    Returns:
        `TestResult` with difference = mean(values) - mean. With fewer than two values, and where the values do not
        vary, as for `paired_t_test`.

    Raises:
        ValueError: not a vector, or an infinite value.
    """
    x = _vector("values", values)
    return paired_t_test(x, np.full(x.shape, mean, np.float64))


def benjamini_yekutieli(p_values: ArrayLike | Sequence[float]) -> NDArray[np.float64]:
    """p-values adjusted for the false discovery rate under any dependence (Benjamini and Yekutieli 2001, theorem 1.3).

    Args:
        p_values: any shape, in [0, 1]. NaN entries are not part of the family and stay NaN.

    Returns:
        Adjusted p-values of the same shape, in [0, 1].

    Raises:
        ValueError: a value outside [0, 1].
    """
    p = np.asarray(p_values, dtype=np.float64)
    measured = ~np.isnan(p)
    wrong = p[measured & ((p < 0) | (p > 1))]
    if wrong.size:
        raise ValueError(f"p-values must lie in [0, 1], got {wrong[0]}")
    adjusted = np.full(p.shape, np.nan)
    if measured.any():
        adjusted[measured] = _scipy_stats.false_discovery_control(p[measured], method="by")
    return adjusted


def _divide(numerator: NDArray, denominator: NDArray, defined: NDArray) -> NDArray[np.float64]:
    return np.where(defined, numerator / np.where(defined, denominator, 1), np.nan)


def _vector(name: str, values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"{name} must be a vector, got shape {array.shape}")
    if np.isinf(array).any():
        raise ValueError(f"{name} must be finite or NaN, got an infinite value")
    return array


def _without_variation(n: int, difference: float, x: NDArray, y: NDArray) -> TestResult:
    if abs(difference) <= _ROUNDING * max(np.abs(x).max(), np.abs(y).max()):
        return TestResult(int(n), difference, 0.0, 1.0)
    return TestResult(int(n), difference, float(np.copysign(np.inf, difference)), np.nan)
