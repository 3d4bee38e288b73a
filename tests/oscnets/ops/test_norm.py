"""Normalization against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oscnets.ops import norm
from tests.helpers import assert_close, in_float64


@pytest.mark.parametrize("axes", [0, (0, 1), -1])
def test_normalize(axes):
    x = np.random.default_rng(3).normal(2, 3, (4, 5, 6))
    found = in_float64(lambda x: norm.normalize(x, axes), x)
    expected = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-5)
    assert_close(found, expected, 1e-13)


def test_normalize_of_a_constant():
    value, gradient = jax.value_and_grad(lambda x: norm.normalize(x, 0)[0])(jnp.full(4, 3.0))
    assert value == 0
    assert_close(gradient, np.array([0.75, -0.25, -0.25, -0.25]) / np.sqrt(1e-5), 1e-4)
