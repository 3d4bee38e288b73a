"""Oscillators on spheres: a loop over oscillators, invariants, two oscillators' closed form, the phase form, norm 0."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oscnets.dynamics import kuramoto, sphere, unroll
from tests.helpers import assert_finite, float64, in_float64, slope

rng = np.random.default_rng(0)
SIZES = [1, 2, 5]


def unit_vectors(*shape):
    x = rng.normal(size=shape)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def random_rotation(n):
    """An orthogonal matrix."""
    return np.linalg.qr(rng.normal(size=(n, n)))[0]


def reference_step(x, force, rate, rotation):
    """The equation, oscillator by oscillator; `rotation` (N, n // 2)."""
    out = np.empty_like(x)
    for i, (own, f, w) in enumerate(zip(x, force, rotation, strict=True)):
        omega = np.zeros((len(own), len(own)))
        for pair in range(len(own) // 2):
            omega[2 * pair, 2 * pair + 1], omega[2 * pair + 1, 2 * pair] = w[pair], -w[pair]
        new = own + rate * (omega @ own + (np.eye(len(own)) - np.outer(own, own)) @ f)
        out[i] = new / np.linalg.norm(new)
    return out


@pytest.mark.parametrize("n", SIZES)
def test_step_is_the_equation(n):
    x, force, rotation = unit_vectors(6, n), rng.normal(size=(6, n)), rng.normal(size=(6, n // 2))
    expected = reference_step(x, force, 0.3, rotation)
    found = in_float64(lambda x, f, w: sphere.sphere_step(x, f, rate=0.3, rotation=w), x, force, rotation)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    single = sphere.sphere_step(np.float32(x), np.float32(force), rate=0.3, rotation=np.float32(rotation))
    np.testing.assert_allclose(single, expected, atol=1e-6)


@pytest.mark.parametrize("n", SIZES)
def test_norms_are_1(n):
    x = sphere.normalize(rng.normal(size=(3, 4, n)))
    out = sphere.sphere_step(x, 10 * rng.normal(size=(3, 4, n)), rate=2.0, rotation=5.0)
    np.testing.assert_allclose(sphere.norm(out), 1, atol=1e-6)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_a_rotation_of_everything_changes_nothing(n):
    x, coupling, turn = unit_vectors(5, n), rng.normal(size=(5, 5)), random_rotation(n)
    step = lambda x: sphere.sphere_step(x, coupling @ x, rate=0.3)  # noqa: E731
    np.testing.assert_allclose(in_float64(step, x @ turn), in_float64(step, x) @ turn, atol=1e-12)
    of = lambda x: (sphere.energy(x, coupling @ x), sphere.order_parameter(x))  # noqa: E731
    np.testing.assert_allclose(in_float64(of, x @ turn), in_float64(of, x), atol=1e-12)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_two_oscillators_meet_as_the_closed_form_says(n):
    """The angle a falls by 2 arctan(rate k sin a) in a step; over time tan(a / 2) falls as exp(-2 k t)."""
    strength, time, num_steps = 0.7, 1.5, 4000
    x = unit_vectors(2, n)
    angle = np.arccos(x[0] @ x[1])

    def run(x, rate, steps):
        step = lambda x: sphere.sphere_step(x, strength * x[::-1], rate=rate)  # noqa: E731
        return unroll(step, x, steps)[0]

    once = in_float64(lambda x: run(x, 0.4, 1), x)
    turned = angle - 2 * np.arctan(0.4 * strength * np.sin(angle))
    np.testing.assert_allclose(np.arccos(once[0] @ once[1]), turned, atol=1e-12)
    last = in_float64(lambda x: run(x, time / num_steps, num_steps), x)
    expected = 2 * np.arctan(np.tan(angle / 2) * np.exp(-2 * strength * time))
    np.testing.assert_allclose(np.arccos(last[0] @ last[1]), expected, rtol=1e-3)
    np.testing.assert_allclose((last[0] + last[1]) / np.linalg.norm(last.sum(0)), x.sum(0) / np.linalg.norm(x.sum(0)))


@pytest.mark.parametrize("n", [2, 3, 4])
def test_energy_falls_without_rotation_for_a_symmetric_coupling(n):
    coupling, stimulus, x = rng.normal(size=(6, 6)), rng.normal(size=(6, n)), unit_vectors(6, n)
    coupling = coupling + coupling.T
    step = lambda x: sphere.sphere_step(x, coupling @ x + stimulus, rate=0.01)  # noqa: E731
    energies = in_float64(
        lambda x: unroll(step, x, 500, collect=lambda x: sphere.energy(x, coupling @ x, stimulus))[1], x
    )
    assert (np.diff(energies) <= 1e-12).all()
    assert energies[-1] < energies[0] - 0.1


def test_the_force_is_minus_the_gradient_of_the_energy_along_the_sphere():
    coupling, stimulus, x = rng.normal(size=(6, 6)), rng.normal(size=(6, 3)), unit_vectors(6, 3)
    coupling = coupling + coupling.T
    gradient = in_float64(jax.grad(lambda x: sphere.energy(x, coupling @ x, stimulus)), x)
    np.testing.assert_allclose(-gradient, coupling @ x + stimulus, atol=1e-12)


def test_in_the_plane_it_is_the_phase_form_to_first_order_in_the_rate():
    phases, coupling, frequency = rng.uniform(-3, 3, 5), rng.normal(size=(5, 5)), rng.normal(size=5)
    with float64():
        x = jnp.stack([jnp.cos(phases), jnp.sin(phases)], -1)
        errors, rates = [], (0.1, 0.05, 0.025, 0.0125)
        for rate in rates:
            found = sphere.sphere_step(x, coupling @ x, rate=rate, rotation=-frequency[:, None])
            turned = kuramoto.graph_step(phases, coupling, rate=rate, natural_frequency=frequency)
            errors.append(np.abs(jnp.arctan2(found[:, 1], found[:, 0]) - jnp.angle(jnp.exp(1j * turned))).max())
    assert 2.5 < slope(rates, errors) < 3.5  # an arctangent's


def test_rotation_alone_turns_every_pair():
    x = np.array([1.0, 0.0, 0.0, 1.0])
    np.testing.assert_array_equal(sphere.rotate(x, np.array([2.0, 3.0])), [0, -2, 3, 0])
    np.testing.assert_array_equal(sphere.rotate([0.0, 1.0, 5.0], 2.0), [2, 0, 0])


def test_order_parameter_lies_between_0_and_1():
    x = unit_vectors(1, 3)
    assert sphere.order_parameter(np.concatenate([x, -x])) == 0
    assert sphere.order_parameter(np.repeat(x, 9, 0)) <= 1
    np.testing.assert_allclose(sphere.order_parameter(np.repeat(x, 9, 0)), 1, rtol=1e-6)
    both = np.concatenate([x, np.full((1, 3), np.nan)])
    np.testing.assert_allclose(sphere.order_parameter(both, np.array([2.0, 0.0])), 1, rtol=1e-6)
    assert sphere.order_parameter(both, np.zeros(2)) == 0


@jax.jit
def derivatives(x):
    """Of a step, and of norm and order: gradients and Hessians."""
    loss = lambda x: (sphere.sphere_step(x, 0 * x, rate=0.3, rotation=1.0) * np.arange(4)).sum()  # noqa: E731
    of_norm = lambda x: (sphere.norm(x) + sphere.order_parameter(x)).sum()  # noqa: E731
    return [jax.grad(fn)(x) for fn in (loss, of_norm)], [jax.hessian(fn)(x) for fn in (loss, of_norm)]


@pytest.mark.parametrize("size", [0.0, 1e-30, 1e-15])
def test_derivatives_are_finite_at_norm_0_to_second_order(size):
    gradients, hessians = derivatives(np.full((3, 4), size, np.float32))
    assert_finite(gradients)
    if size < 1e-19:
        assert_finite(hessians)
        assert not np.any(gradients[0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sphere.norm(1.0), r"x must be \(..., n\)"),
        (lambda: sphere.normalize(np.zeros((2, 0))), r"x must be \(..., n\)"),
        (lambda: sphere.sphere_step(np.ones((2, 3)), np.ones((2, 4)), rate=1.0), "equal components"),
        (lambda: sphere.sphere_step(np.ones((2, 3)), np.ones((2, 3)), rate=np.ones(3)), "rate must be a scalar or"),
        (lambda: sphere.rotate(np.ones((2, 3)), np.ones(2)), "rotation must be a scalar or"),
        (lambda: sphere.energy(np.ones(3), np.ones(3)), r"x must be \(..., N, n\)"),
        (lambda: sphere.order_parameter(np.ones(3)), r"x must be \(..., N, n\)"),
        (lambda: sphere.order_parameter(np.ones((2, 3)), np.ones(3)), "weights must be a scalar or"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
