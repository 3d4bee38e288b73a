"""What holds for every public function that is smooth: derivatives of both modes and orders, at zero too, and vmap."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import assert_finite, float64
from tests.oscnets.test_functions import CASES, SMOOTH, leaves, program, scalar, values_and_gradient

DIRECTIONS = np.random.default_rng(1)


def derivatives(case):
    """The value, the derivative along a direction, the gradient, and the Hessian times the direction in both orders."""

    def fn(arrays, along):
        dot = lambda a: sum(jnp.vdot(x, d) for x, d in zip(a, along, strict=True))  # noqa: E731
        both = jax.value_and_grad(scalar(case), range(len(arrays)))
        gradient = lambda *x: both(*x)[1]  # noqa: E731
        (value, reverse), (forward, over) = jax.jvp(both, arrays, along)
        twice = jax.grad(lambda *x: dot(gradient(*x)), range(len(arrays)))(*arrays)
        return value, forward, reverse, over, twice

    return jax.jit(fn)


@pytest.mark.parametrize("name", SMOOTH)
def test_derivatives_of_both_modes_and_of_second_order(name):
    """Against each other and, with the one program at three points, against central differences."""
    case, size = CASES[name], 1e-6
    along = tuple(DIRECTIONS.normal(size=x.shape) for x in case.arrays)
    with float64():
        fn = derivatives(case)
        shift = lambda h: tuple(x + h * d for x, d in zip(case.arrays, along, strict=True))  # noqa: E731
        at, ahead, behind = (jax.tree.map(np.asarray, fn(shift(h), along)) for h in (0, size, -size))
    _, forward, reverse, over, twice = at
    assert forward.dtype == np.float64
    difference = (ahead[0] - behind[0]) / (2 * size)
    scale = max(1.0, abs(difference))
    np.testing.assert_allclose(forward, difference, atol=1e-6 * scale)
    np.testing.assert_allclose(sum(map(np.vdot, reverse, along)), forward, atol=1e-10 * scale)
    for a, b, *ends in zip(over, twice, ahead[2], behind[2], strict=True):
        c = (ends[0] - ends[1]) / (2 * size)
        scale = max(1.0, np.abs(c).max(initial=0))
        np.testing.assert_allclose(a, c, atol=2e-5 * scale)
        np.testing.assert_allclose(b, a, atol=1e-9 * scale)


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_are_finite_at_zero(name):
    case = CASES[name]
    kept = len(case.arrays) - case.positive
    arrays = [np.asarray(x * (i >= kept), np.float32) for i, x in enumerate(case.arrays)]
    assert_finite(values_and_gradient(name)(*arrays)[1])


@pytest.mark.parametrize("name", SMOOTH)
def test_vmap_is_a_loop(name):
    case = CASES[name]
    arrays = [np.asarray(x, np.float32) for x in case.arrays]
    both = [np.stack([x, x * 0.5]) for x in arrays]
    mapped = leaves(jax.jit(jax.vmap(case.fn))(*both))
    for i in range(2):
        alone = leaves(program(name)(*(x[i] for x in both)))
        for a, b in zip(mapped, alone, strict=True):
            np.testing.assert_allclose(a[i], b, rtol=1e-4, atol=1e-4)
