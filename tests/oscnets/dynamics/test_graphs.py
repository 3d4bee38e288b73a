"""Oscillators on graphs with phase lag, noise, inertia and delays: closed forms, orders, invariants."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse
import scipy.stats

from oscnets.dynamics import graphs, kuramoto
from tests.helpers import float64, in_float64, slope

rng = np.random.default_rng(0)
PAIR = np.array([[0.0, 1.0], [1.0, 0.0]])


def naive(phases, coupling, frequency, lag):
    return frequency + (coupling * np.sin(phases - phases[:, None] - np.broadcast_to(lag, phases.shape)[:, None])).sum(
        1
    )


def system(units=6):
    return rng.uniform(-3, 3, units), rng.normal(size=(units, units)), rng.normal(size=units)


@pytest.mark.parametrize("lag", [0.0, 0.7, np.linspace(-1, 1, 6)])
def test_the_vector_field_is_the_equation(lag):
    phases, coupling, frequency = system()
    expected = naive(phases, coupling, frequency, lag)
    field = lambda *x: kuramoto.vector_field(*x[:3], phase_lag=x[3])  # noqa: E731
    np.testing.assert_allclose(in_float64(field, phases, coupling, frequency, lag), expected, atol=1e-12)
    lag = np.array(lag, np.float32)
    sparse = scipy.sparse.csr_array(coupling)
    np.testing.assert_allclose(field(phases, sparse, frequency, lag), expected, atol=1e-5)
    options = {"rate": 0.1, "natural_frequency": frequency, "phase_lag": lag}
    stepped = kuramoto.graph_step(phases, coupling, **options)
    np.testing.assert_allclose(stepped, phases + 0.1 * expected, atol=1e-5)
    np.testing.assert_allclose(
        kuramoto.graph_trajectory(phases, coupling, **options, num_steps=1)[0], stepped, atol=1e-5
    )


def test_any_solver_may_integrate_it():
    """Two oscillators, closed form: tan(d / 2) decays by e^{-2 K t}. Runge-Kutta of order 4, by slope."""
    time, gap = 1.5, 2.0
    expected = 2 * np.arctan(np.tan(gap / 2) * np.exp(-2 * time))
    counts, errors = np.array([4, 8, 16, 32]), []
    with float64():
        for count in counts:
            h, y = time / count, jnp.array([0.0, gap])
            for _ in range(count):
                a = kuramoto.vector_field(y, PAIR, 0.3)
                b = kuramoto.vector_field(y + h / 2 * a, PAIR, 0.3)
                c = kuramoto.vector_field(y + h / 2 * b, PAIR, 0.3)
                d = kuramoto.vector_field(y + h * c, PAIR, 0.3)
                y = y + h / 6 * (a + 2 * b + 2 * c + d)
            errors.append(abs(float(y[1] - y[0]) - expected))
            np.testing.assert_allclose(y.mean(), gap / 2 + 0.3 * time, atol=1e-12)
    assert -slope(counts, errors) == pytest.approx(4, abs=0.3)


def test_identical_oscillators_with_a_lag_slow_down_together():
    """All in phase, each turns at w - K sin(lag)."""
    units, lag = 5, 0.6
    coupling = np.ones((units, units)) / units
    run = kuramoto.graph_trajectory(
        np.zeros(units), coupling, rate=0.01, natural_frequency=2.0, phase_lag=lag, num_steps=1000, every=500
    )
    expected = 10 * (2 - np.sin(lag)) * np.array([0.5, 1])[:, None]
    np.testing.assert_allclose(run, np.broadcast_to(expected, run.shape), rtol=1e-4)


@pytest.mark.parametrize("distribution", ["lorentzian", "gaussian", "uniform"])
def test_natural_frequencies_have_their_distribution(distribution):
    exact = {
        "lorentzian": scipy.stats.cauchy(2, 0.5),
        "gaussian": scipy.stats.norm(2, 0.5),
        "uniform": scipy.stats.uniform(1.5, 1.0),
    }[distribution]
    options = {"distribution": distribution, "centre": 2.0, "width": 0.5}
    drawn = np.asarray(graphs.natural_frequencies(jax.random.key(0), 4000, **options), float)
    assert scipy.stats.kstest(drawn, exact.cdf).pvalue > 0.01
    np.testing.assert_array_equal(graphs.natural_frequencies(jax.random.key(0), 4000, **options), drawn)
    quantiles = graphs.natural_frequencies(None, 9, **options)
    np.testing.assert_allclose(quantiles, exact.ppf((np.arange(9) + 0.5) / 9), rtol=1e-4)


def test_noise_is_that_of_the_key():
    phases, coupling, frequency = system()
    options = {"dt": 0.1, "noise": 0.5, "natural_frequency": frequency}
    run = lambda seed: graphs.noisy_trajectory(phases, coupling, jax.random.key(seed), num_steps=4, **options)  # noqa: E731
    np.testing.assert_array_equal(run(0), run(0))
    assert np.abs(run(0) - run(1)).max() > 0.1
    state = phases
    for t, after in enumerate(run(0)):
        state = graphs.noisy_step(state, coupling, jax.random.fold_in(jax.random.key(0), t), **options)
        np.testing.assert_allclose(after, state, atol=1e-5)
    still = graphs.noisy_trajectory(phases, coupling, jax.random.key(0), num_steps=4, **(options | {"noise": 0.0}))
    plain = kuramoto.graph_trajectory(phases, coupling, rate=0.1, natural_frequency=frequency, num_steps=4)
    np.testing.assert_allclose(still, plain, atol=1e-5)


def test_the_weak_order_of_noise_is_one():
    """Bias of the mean of cos(gap) at time 1, of two coupled oscillators, for steps of 1/16, 1/32 and 1/64.

    Against steps an eighth as long, of an eighth of the bias, on the same Brownian paths, so that the sampling error is
    small. A path is what uncoupled oscillators do under the same key, split at random within a step. The margin is
    three standard errors of the slope, and 0.05 for higher orders of the step.
    """
    runs, parts, noise, counts = 10_000, 8, 0.6, np.array([16, 32, 64])
    start, draw = np.tile(np.float32([0, 1]), (runs, 1)), np.random.default_rng(1)
    bias, error = [], []
    for count in map(int, counts):
        run = partial(graphs.noisy_trajectory, start, dt=1 / count, noise=noise, num_steps=count)
        gaps = [np.diff(run(x, jax.random.key(count)), axis=-1)[..., 0].astype(float) for x in (PAIR, 0 * PAIR)]
        fine, dt = np.ones(runs), 1 / (count * parts)
        for kick in np.diff(gaps[1], axis=0, prepend=1):
            split = noise * np.sqrt(2 * dt) * draw.normal(size=(parts, runs))
            for part in split - split.mean(0) + kick / parts:
                fine = fine - 2 * dt * np.sin(fine) + part
        away = np.cos(gaps[0][-1]) - np.cos(fine)
        bias.append(abs(away.mean()))
        error.append(away.std() / np.sqrt(runs) / bias[-1])
    weights = np.log(counts) - np.log(counts).mean()
    margin = 3 * np.linalg.norm(weights * error) / (weights**2).sum()
    assert margin < 0.2
    assert -slope(counts, bias) == pytest.approx(1, abs=margin + 0.05)


def test_the_bias_of_noisy_steps_is_that_of_order_one():
    """Small gap, d += -2 K dt d + noise sqrt(2 dt) normal: its variance is noise^2 / (2 K (1 - K dt)), not / (2 K)."""
    dt, noise = 0.3, 1e-3
    key, zeros = jax.random.key(0), np.zeros((4000, 2))
    run = graphs.noisy_trajectory(zeros, PAIR, key, dt=dt, noise=noise, num_steps=60, every=20)
    gaps = np.asarray(run[..., 1] - run[..., 0])
    np.testing.assert_allclose(gaps.var(), noise**2 / (2 * (1 - dt)), rtol=0.05)


def test_noise_has_the_variance_of_brownian_motion():
    run = graphs.noisy_trajectory(
        np.zeros((2000, 2)), np.zeros((2, 2)), jax.random.key(0), dt=0.05, noise=0.7, num_steps=40, every=20
    )
    np.testing.assert_allclose(np.var(run, axis=(1, 2)), 0.49 * np.array([1, 2]), rtol=0.07)
    assert abs(np.corrcoef(run[-1].T)[0, 1]) < 0.1


def test_two_swinging_oscillators_are_a_pendulum():
    """Small gap d, no damping: inertia d'' = -2 K d; the frequency of the step is that of the symplectic one."""
    dt, inertia, count = 0.05, 2.0, 400
    options = {"dt": dt, "inertia": inertia, "damping": 0.0, "num_steps": count}
    with float64():
        phases, _ = graphs.inertial_trajectory(np.array([-5e-5, 5e-5]), 0.0, PAIR, **options)
        gap = np.asarray(phases[:, 1] - phases[:, 0])
    turn = np.arccos(1 - 2 / inertia * dt**2 / 2)
    times = np.arange(1, count + 1)
    expected = 1e-4 * np.cos((times + 0.5) * turn) / np.cos(turn / 2)
    np.testing.assert_allclose(gap, expected, atol=1e-9)


def test_strong_damping_is_the_first_order_model():
    phases, coupling, frequency = system()
    options = {"natural_frequency": frequency, "phase_lag": 0.3}
    heavy, _ = graphs.inertial_trajectory(phases, 0.0, coupling, dt=1e-3, inertia=1e-3, num_steps=1000, **options)
    plain = kuramoto.graph_trajectory(phases, coupling, rate=1e-3, num_steps=1000, **options)
    np.testing.assert_allclose(heavy[-1], plain[-1], atol=0.02)
    one = graphs.inertial_step(phases, np.zeros(6), coupling, dt=1e-3, inertia=1e-3, **options)
    np.testing.assert_allclose(one[0], heavy[0], atol=1e-5)


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_delays_are_the_equation(kind):
    units, steps, length = 5, 12, 4
    phases, coupling, frequency = rng.uniform(-3, 3, (length, units)), *system(units)[1:]
    delays = rng.integers(0, length, (units, units))
    given = (coupling, delays)
    if kind == "sparse":
        given = scipy.sparse.coo_array(coupling), delays.ravel()
    run = graphs.delayed_trajectory(
        phases, *given, rate=0.1, natural_frequency=frequency, phase_lag=0.2, num_steps=steps
    )
    past = list(phases)
    for after in run:
        late = np.array([[past[-1 - delays[i, j]][j] for j in range(units)] for i in range(units)])
        force = (coupling * np.sin(late - past[-1][:, None] - 0.2)).sum(1)
        past.append(past[-1] + 0.1 * (frequency + force))
        np.testing.assert_allclose(after, past[-1], atol=2e-5)


def test_without_delays_it_is_the_plain_run():
    phases, coupling, frequency = system()
    both = [
        graphs.delayed_trajectory(phases[None], coupling, 0, rate=0.1, natural_frequency=frequency, num_steps=20),
        kuramoto.graph_trajectory(phases, coupling, rate=0.1, natural_frequency=frequency, num_steps=20),
    ]
    np.testing.assert_allclose(*both, atol=1e-4)


def test_a_delay_slows_a_synchronous_pair():
    """In phase, both turn at W = w - K sin(W delay) (Yeung and Strogatz, 1999)."""
    dt, delay, count = 0.01, 60, 6000
    run = graphs.delayed_trajectory(
        np.zeros((delay + 1, 2)), PAIR, delay, rate=dt, natural_frequency=1.5, num_steps=count
    )
    speed = float(run[-1, 0] - run[-1001, 0]) / (1000 * dt)
    assert speed == pytest.approx(1.5 - np.sin(speed * delay * dt), rel=2e-3)
    assert speed < 1.2


def test_what_is_not_right_is_refused():
    with pytest.raises(ValueError, match="distribution must be one of lorentzian, gaussian, uniform, got 'cauchy'"):
        graphs.natural_frequencies(None, 3, distribution="cauchy")
    with pytest.raises(ValueError, match="num_steps must be a multiple of every=3, got 10"):
        kuramoto.graph_trajectory(np.zeros(2), PAIR, rate=0.1, num_steps=10, every=3)
    with pytest.raises(ValueError, match="num_steps must be a multiple of every=3, got 10"):
        graphs.inertial_trajectory(np.zeros(2), 0, PAIR, dt=0.1, inertia=1.0, num_steps=10, every=3)
    with pytest.raises(ValueError, match=r"phase_lag must be a scalar or broadcast to phases \(2,\), got shape \(3,\)"):
        kuramoto.vector_field(np.zeros(2), PAIR, phase_lag=np.ones(3))
    late = lambda delays, *shape: graphs.delayed_trajectory(  # noqa: E731
        np.zeros(shape or (3, 2)), PAIR, delays, rate=0.1, num_steps=2
    )
    with pytest.raises(ValueError, match="delays must lie in 0 to 2 for a history of 3, got 3"):
        late(3)
    with pytest.raises(
        ValueError, match=r"delays must be a scalar or \(2, 2\), one for each coupling, got shape \(2,\)"
    ):
        late(np.zeros(2, int))
    with pytest.raises(ValueError, match="delays must be whole numbers of steps"):
        late(0.5)
    with pytest.raises(ValueError, match=r"history must be \(\.\.\., H, N\) with H >= 1, got shape \(2,\)"):
        late(0, 2)
