"""Known physics of Kuramoto's model: the transition, the mean field, twisted states, Lyapunov exponents."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oscnets import analysis, phase
from oscnets.dynamics import graphs, kuramoto
from tests.helpers import float64

rng = np.random.default_rng(0)


def all_to_all(units, strength):
    return np.full((units, units), strength / units, np.float32)


@pytest.mark.parametrize("strength", [3.0, 4.0, 8.0])
def test_order_of_lorentzian_frequencies(strength):
    """r = sqrt(1 - K_c / K)."""
    units = 300
    frequency = graphs.natural_frequencies(None, units, width=1.0)
    options = {"rate": 0.02, "natural_frequency": frequency, "num_steps": 3000, "every": 10}
    run = kuramoto.graph_trajectory(np.zeros(units), all_to_all(units, strength), **options)
    order = np.abs(phase.order_parameter(run[200:])).mean()
    assert order == pytest.approx(np.sqrt(1 - analysis.critical_coupling(1.0) / strength), abs=0.015)
    assert analysis.metastability(run[200:]) < 5e-3


def test_below_the_critical_coupling_synchrony_decays():
    units = 300
    frequency = graphs.natural_frequencies(None, units, width=1.0)
    options = {"rate": 0.02, "natural_frequency": frequency, "num_steps": 1000, "every": 10}
    run = kuramoto.graph_trajectory(np.zeros(units), all_to_all(units, 1.0), **options)
    order = np.abs(phase.order_parameter(run))
    assert order[0] > 0.6 and order[-20:].mean() < 0.1


def test_the_order_parameter_follows_the_mean_field():
    """Ott and Antonsen (2008): r' = -width r + K r (1 - r^2) / 2, from all phases at 0, where r = 1."""
    units, strength, width, dt, count = 500, 4.0, 1.0, 0.01, 200
    frequency = graphs.natural_frequencies(None, units, width=width)
    options = {"rate": dt, "natural_frequency": frequency, "num_steps": count}
    order = np.abs(
        phase.order_parameter(kuramoto.graph_trajectory(np.zeros(units), all_to_all(units, strength), **options))
    )
    limit = 1 - 2 * width / strength
    times = dt * np.arange(1, count + 1)
    # The closed form: s = r^2 obeys the logistic equation s' = K s (limit - s).
    share = 1 / (1 + (limit - 1) * np.exp(-strength * limit * times))
    np.testing.assert_allclose(order, np.sqrt(limit * share), atol=0.03)


@pytest.mark.parametrize(("twists", "stable"), [(0, True), (1, True), (4, True), (6, False), (8, False)])
def test_twisted_states_of_a_ring(twists, stable):
    """On a ring of 20 with two neighbours, phases that turn q times around it rest; they are stable while q < 5."""
    units = 20
    ring = np.roll(np.eye(units), 1, 0) + np.roll(np.eye(units), -1, 0)
    twisted = 2 * np.pi * twists * np.arange(units) / units
    np.testing.assert_allclose(kuramoto.vector_field(twisted, ring), 0, atol=1e-4)
    near = twisted + 1e-2 * rng.normal(size=units)
    last = kuramoto.graph_trajectory(near, ring, rate=0.1, num_steps=2000, every=2000)[0]
    steps = phase.wrap(jnp.diff(last - twisted, append=last[:1] - twisted[:1]))
    assert bool((np.abs(steps) < 1e-3).all()) == stable


def lyapunov_exponents(step, state, count):
    """Growth rates per step along orthogonal directions, by forward mode and QR."""
    push = jax.vmap(lambda state, along: jax.jvp(step, (state,), (along,))[1], (None, 1), 1)

    def advance(carry, _):
        state, frame = carry
        frame, upper = jnp.linalg.qr(push(state, frame))
        return (step(state), frame), jnp.log(jnp.abs(jnp.diag(upper)))

    return jax.lax.scan(advance, (state, jnp.eye(len(state))), None, count)[1].mean(0)


def test_lyapunov_exponents_of_a_synchronous_state():
    """Those of the Laplacian: log(1 - dt eigenvalue) / dt, the first 0."""
    units, dt = 6, 0.05
    weights = rng.uniform(0.2, 1, (units, units))
    weights = weights + weights.T
    laplacian = np.diag(weights.sum(1)) - weights
    with float64():
        step = lambda x: kuramoto.graph_step(x, weights, rate=dt, natural_frequency=1.0)  # noqa: E731
        found = np.asarray(lyapunov_exponents(step, jnp.zeros(units), 4000)) / dt
    expected = np.log(np.abs(1 - dt * np.linalg.eigvalsh(laplacian))) / dt
    np.testing.assert_allclose(np.sort(found), np.sort(expected), atol=0.02)


def test_lyapunov_exponents_sum_to_the_divergence_of_the_flow():
    units, dt, count = 5, 0.01, 2000
    coupling, frequency = rng.normal(size=(units, units)), rng.normal(size=units)
    with float64():
        step = lambda x: kuramoto.graph_step(x, coupling, rate=dt, natural_frequency=frequency)  # noqa: E731
        start = jnp.asarray(rng.uniform(-3, 3, units))
        found = lyapunov_exponents(step, start, count) / dt
        states = kuramoto.graph_trajectory(start, coupling, rate=dt, natural_frequency=frequency, num_steps=count)
        jacobians = jax.vmap(jax.jacfwd(step))(jnp.concatenate([start[None], states[:-1]]))
        divergence = jnp.log(jnp.abs(jnp.linalg.det(jacobians))).mean() / dt
        found, divergence = np.asarray(found), np.asarray(divergence)
    np.testing.assert_allclose(found.sum(), divergence, rtol=1e-8)
    assert np.abs(found).min() < 0.05  # a shift of all phases neither grows nor decays
