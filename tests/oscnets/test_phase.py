"""Sines, moduli, angles and order parameters: accuracy, and gradients where a modulus is zero."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oscnets import phase
from tests.helpers import assert_close, in_float64


@pytest.fixture(scope="module")
def angles():
    """Phases within +-1e4 rad, dense near 0 and at the multiples of pi / 2, where the range reduction switches."""
    rng = np.random.default_rng(0)
    corners = np.pi / 2 * np.arange(-6366, 6366)
    near = [corners + shift for shift in (-1e-3, 0.0, 1e-3)]
    wide, narrow = rng.uniform(-1e4, 1e4, 200_000), rng.uniform(-7, 7, 50_000)
    return np.concatenate([wide, narrow, *near, [0.0]]).astype(np.float32)


def test_sine_and_cosine_in_float32(angles):
    exact = angles.astype(np.float64)
    for sine, cosine in (phase.sincos(angles), jax.jit(phase.sincos)(angles)):
        assert sine.dtype == cosine.dtype == np.float32
        assert np.max(np.abs(sine - np.sin(exact))) < 2e-7
        assert np.max(np.abs(cosine - np.cos(exact))) < 2e-7


def test_first_and_second_derivatives_are_sines_too(angles):
    x = angles[::50]
    exact = x.astype(np.float64)
    first = lambda x: jax.jvp(phase.sincos, (x,), (jnp.full_like(x, 2),))[1]  # noqa: E731
    once, (_, twice) = jax.jit(lambda x: (first(x), jax.jvp(first, (x,), (jnp.ones_like(x),))))(x)
    assert_close(once, (2 * np.cos(exact), -2 * np.sin(exact)), 2e-7)
    assert_close(twice, (-2 * np.sin(exact), -2 * np.cos(exact)), 2e-7)


def test_reverse_mode_agrees_under_vmap(angles):
    x = angles[:100].reshape(4, 25)
    energy = lambda x: (phase.sincos(x)[0] * phase.sincos(x)[1]).sum()  # noqa: E731
    found = jax.vmap(jax.grad(energy))(x)
    assert_close(found, np.cos(2 * x.astype(np.float64)), 1e-6)


def test_sine_and_cosine_in_float64():
    x = np.linspace(-1e4, 1e4, 10_001)
    found = in_float64(lambda x: (*phase.sincos(x), jax.vmap(jax.grad(lambda x: phase.sincos(x)[0]))(x)), x)
    assert_close(found, (np.sin(x), np.cos(x), np.cos(x)), 1e-14)


def pair(tree):
    return np.stack(jax.tree.leaves(tree), -1)


ORIGIN = (
    np.array([0.0, 3.0, -1e-9, 0.0, -2.0, 1e-25], np.float32),
    np.array([0.0, -4.0, 0.0, 5.0, 0.0, -1e-25], np.float32),
)


@pytest.mark.parametrize("wrapper", [lambda f: f, jax.jit, lambda f: jax.vmap(jax.jit(f))])
def test_values_and_gradients_where_the_modulus_vanishes(wrapper):
    real, imag = ORIGIN
    seen = ~np.isin(np.arange(6), [0, 5])  # the last one's square underflows
    size = np.where(seen, np.hypot(real, imag), 1)
    at = np.where(seen, real / size, 0), np.where(seen, imag / size, 0)

    def run(fn):
        value = wrapper(fn)(real, imag)
        return value, wrapper(jax.grad(lambda *z: jnp.sum(fn(*z)), argnums=(0, 1)))(real, imag)

    assert_close(run(phase.modulus), (np.where(seen, size, 0), at), 1e-6)
    value, gradient = run(phase.angle)
    assert_close(value, np.where(seen, np.arctan2(imag, real), 0), 1e-6)
    assert_close(pair(gradient)[seen], (np.stack([-at[1], at[0]], -1) / size[:, None])[seen], 1e-6)
    np.testing.assert_array_equal(pair(gradient)[~seen], 0)
    for part, turned in ((0, -at[1]), (1, at[0])):
        value, gradient = run(lambda *z, part=part: phase.unit(*z)[part])
        assert_close(value, at[part], 1e-6)
        expected = np.stack([-at[1], at[0]], -1) * turned[:, None]
        assert_close((size[:, None] * pair(gradient))[seen], expected[seen], 1e-6)
        np.testing.assert_array_equal(pair(gradient)[~seen], 0)


def test_wrap_keeps_the_phase():
    x = np.random.default_rng(1).uniform(-50, 50, 1000).astype(np.float32)
    found = np.asarray(phase.wrap(x), np.float64)
    assert np.max(np.abs(found)) <= np.pi + 1e-6
    assert_close(np.exp(1j * found), np.exp(1j * x.astype(np.float64)), 1e-5)
    assert_close(phase.wrap(jnp.array([0.5, -3.0, 7.0])), np.array([0.5, -3.0, 7 - 2 * np.pi]), 1e-6)


@pytest.mark.parametrize(("axis", "shape"), [(-1, (3, 4)), (0, (4, 5)), ((0, 2), (4,)), ((0, 1, 2), ())])
def test_order_parameter_is_the_weighted_mean(axis, shape):
    rng = np.random.default_rng(2)
    x, weights = rng.normal(size=(3, 4, 5)), rng.uniform(size=(4, 1))
    full = np.broadcast_to(weights, x.shape)

    def run(x, weights):
        plain, weighted = phase.order_parameter(x, axis=axis), phase.order_parameter(x, weights, axis)
        return plain, weighted, phase.circular_mean(x, weights, axis)

    plain, weighted, mean = in_float64(run, x, weights)
    expected = (full * np.exp(1j * x)).sum(axis) / full.sum(axis)
    assert plain.shape == shape
    assert_close(plain, np.exp(1j * x).mean(axis), 1e-13)
    assert_close(weighted, expected, 1e-13)
    assert_close(mean, np.angle(expected), 1e-13)


def test_order_parameter_of_sync_splay_and_silence():
    splay = np.float32(2 * np.pi * np.arange(8) / 8)
    cases = {
        "sync": (np.full(8, 0.3, np.float32), np.ones(8)),
        "splay": (splay, np.ones(8)),
        "silence": (splay, np.zeros(8)),
        "one": (splay, np.arange(8) == 2),
    }
    order, mean = (jax.jit(fn) for fn in (phase.order_parameter, phase.circular_mean))
    found = {name: order(x, np.float32(weights)) for name, (x, weights) in cases.items()}
    assert_close(found["sync"], np.exp(0.3j), 1e-6)
    assert abs(found["splay"]) < 1e-6
    assert found["silence"] == 0 == mean(splay, np.zeros(8, np.float32))
    assert found["one"] == pytest.approx(1j, abs=1e-6)
    assert_close(phase.circular_mean(jnp.array([jnp.pi - 0.1, -jnp.pi - 0.3])), np.float32(np.pi - 0.2), 1e-6)


def test_mean_phase_has_finite_gradients_for_empty_weights():
    def value(x, weights):
        mean = phase.order_parameter(x, weights)
        return (mean.real + mean.imag + phase.circular_mean(x, weights) + phase.modulus(mean.real, mean.imag)).sum()

    x = jnp.arange(6.0).reshape(2, 3)
    weights = jnp.array([[0.0, 0.0, 0.0], [1.0, 0.0, 2.0]])
    gradients = jax.jit(jax.grad(value, argnums=(0, 1)))(x, weights)
    chex.assert_tree_all_finite(gradients)
    np.testing.assert_array_equal(gradients[0][0], 0)
    assert np.all(gradients[0][1, ::2] != 0)


def test_phases_of_weight_zero_have_no_influence():
    x, weights = jnp.array([0.3, jnp.nan, 1.0, jnp.inf]), jnp.array([1.0, 0.0, 3.0, 0.0])

    def value(x, weights):
        order = phase.order_parameter(x, weights)
        return order.real + order.imag + phase.circular_mean(x, weights)

    found, gradients = jax.value_and_grad(value, argnums=(0, 1))(x, weights)
    assert_close(found, value(x[::2], weights[::2]), 1e-6)
    chex.assert_tree_all_finite(gradients)
    np.testing.assert_array_equal(gradients[0][1::2], 0)
    assert np.isnan(value(x, jnp.array([1.0, 1e-3, 3.0, 0.0])))
    assert np.isnan(value(x[::2], jnp.array([1.0, jnp.nan])))


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_half_precision_is_squared_in_float32(dtype):
    small, large = (jnp.asarray(x, dtype) for x in (1e-3, 300))
    assert phase.modulus(large, large).dtype == dtype
    assert float(phase.modulus(large, large)) == pytest.approx(300 * np.sqrt(2), rel=1e-2)
    assert float(phase.modulus(small, 0 * small)) == pytest.approx(1e-3, rel=1e-2)
    assert float(phase.angle(small, small)) == pytest.approx(np.pi / 4, rel=1e-2)
    assert_close(phase.order_parameter(jnp.zeros(70_000, dtype)), np.complex64(1), 1e-6)
