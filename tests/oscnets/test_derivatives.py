"""What holds for every public function that is smooth: derivatives of both modes and orders, at zero too, and vmap."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import assert_finite, float64
from tests.oscnets.test_functions import CASES, SMOOTH, leaves, scalar

DIRECTIONS = np.random.default_rng(1)


@pytest.mark.parametrize("name", SMOOTH)
def test_derivatives_of_both_modes_and_of_second_order(name):
    case = CASES[name]
    with float64():
        fn, arrays = jax.jit(scalar(case)), tuple(map(jnp.asarray, case.arrays))
        along = tuple(jnp.asarray(DIRECTIONS.normal(size=x.shape)) for x in arrays)
        gradient = jax.jit(jax.grad(scalar(case), range(len(arrays))))
        shift = lambda size: tuple(x + size * d for x, d in zip(arrays, along, strict=True))  # noqa: E731
        dot = lambda a: sum(jnp.vdot(x, d) for x, d in zip(a, along, strict=True))  # noqa: E731
        _, forward = jax.jvp(fn, arrays, along)
        size = 1e-6
        difference = (fn(*shift(size)) - fn(*shift(-size))) / (2 * size)
        scale = max(1.0, float(jnp.abs(difference)))
        np.testing.assert_allclose(forward, difference, atol=1e-6 * scale)
        np.testing.assert_allclose(dot(gradient(*arrays)), forward, atol=1e-10 * scale)
        over = jax.jvp(gradient, arrays, along)[1]
        twice = jax.grad(lambda *x: dot(gradient(*x)), range(len(arrays)))(*arrays)
        differences = [
            (a - b) / (2 * size) for a, b in zip(gradient(*shift(size)), gradient(*shift(-size)), strict=True)
        ]
        for a, b, c in zip(over, twice, differences, strict=True):
            scale = max(1.0, float(jnp.abs(c).max(initial=0)))
            np.testing.assert_allclose(a, c, atol=2e-5 * scale)
            np.testing.assert_allclose(b, a, atol=1e-9 * scale)


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_are_finite_at_zero(name):
    case = CASES[name]
    kept = len(case.arrays) - case.positive
    arrays = [np.asarray(x * (i >= kept), np.float32) for i, x in enumerate(case.arrays)]
    assert_finite(jax.jit(jax.grad(scalar(case), range(len(arrays))))(*arrays))


@pytest.mark.parametrize("name", SMOOTH)
def test_vmap_is_a_loop(name):
    case = CASES[name]
    arrays = [np.asarray(x, np.float32) for x in case.arrays]
    both = [np.stack([x, x * 0.5]) for x in arrays]
    mapped = leaves(jax.jit(jax.vmap(case.fn))(*both))
    for i in range(2):
        alone = leaves(case.fn(*(x[i] for x in both)))
        for a, b in zip(mapped, alone, strict=True):
            np.testing.assert_allclose(a[i], b, rtol=1e-4, atol=1e-4)
