"""The checks of arguments that public functions share."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oscnets import _inputs


@pytest.mark.parametrize("value", [3, 3.0, np.int32(3), np.float64(3), np.array(3), jnp.asarray(3)])
def test_whole_numbers_of_any_type(value):
    found = _inputs.whole_number("num_steps", value)
    assert type(found) is int and found == 3


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (0.3 / 0.1, ValueError, r"num_steps must be a whole number, got 2\.99"),
        (np.float32(2.5), ValueError, "num_steps must be a whole number, got .*2.5"),
        (float("nan"), ValueError, "num_steps must be a whole number, got nan"),
        (-1, ValueError, "num_steps must be >= 0, got -1"),
        (True, TypeError, "num_steps must be a whole number, got True"),
        (np.True_, TypeError, "num_steps must be a whole number"),
        ("3", TypeError, "num_steps must be a whole number, got '3'"),
        (np.ones(2, int), TypeError, "num_steps must be a whole number"),
    ],
)
def test_what_is_no_whole_number(value, error, message):
    with pytest.raises(error, match=message):
        _inputs.whole_number("num_steps", value)


def test_the_largest_of_many_is_nan_where_one_is():
    x = np.random.default_rng(0).normal(size=(1000, 9)).astype(np.float32)
    np.testing.assert_array_equal(_inputs.largest(jnp.asarray(x), 0), x.max(0))
    x[777, 3] = np.nan
    np.testing.assert_array_equal(jax.jit(lambda x: _inputs.largest(x, 0))(x), x.max(0))


def test_a_sum_of_rectified_numbers_is_nan_where_one_is():
    x = np.random.default_rng(0).normal(size=(8, 32, 32, 16)).astype(np.float32)
    total = lambda x: _inputs.rectified(x).sum((1, 2))  # noqa: E731
    np.testing.assert_allclose(jax.jit(total)(x), np.maximum(x, 0).sum((1, 2)), rtol=1e-5)
    np.testing.assert_array_equal(jax.grad(lambda x: _inputs.rectified(x).sum())(jnp.array([-1.0, 0, 2])), [0, 0, 1])
    x[3, 5, 7, 2] = np.nan
    assert np.isnan(jax.jit(total)(x)).sum() == 1
