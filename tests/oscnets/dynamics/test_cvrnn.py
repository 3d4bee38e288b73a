"""The linear complex network: published numbers, closed form, range of float32, and Kuramoto's model by it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate

from oscnets.dynamics import cvrnn, kuramoto, unroll
from tests.helpers import float64, golden_case, golden_cases, in_float64, slope

rng = np.random.default_rng(0)


def published(cfg, arrays):
    """Picture, first phases and couplings. Pixels are counted down the columns; the sheet is square."""
    frequency = arrays["image"].T.ravel().astype(float)
    side = len(arrays["image"])
    pairs = zip(cfg["alpha"], cfg["sigma"], strict=True)
    couplings = [cvrnn.gaussian_coupling(side, side, strength=a, sigma=s) for a, s in pairs]
    first, last = cfg["layer_time_points"]
    return frequency, np.angle(arrays["x0"]), couplings, (first - 1, last - first)


def windows(cfg, run, phases):
    """Phase-locking matrices of the published windows: units outside the background, all steps counted from 1."""
    everything = np.concatenate([phases[None], run.first.phases, run.second.phases])[:, ~np.asarray(run.background)]
    for start in cfg["window_starts_1based"]:
        x = np.exp(1j * everything[start - 1 : start + cfg["window_size"]].astype(complex)).T
        yield x @ x.conj().T / x.shape[1]


def check_published(cfg, arrays, run, phases, tolerance, tolerance_rho):
    np.testing.assert_array_equal(run.background, arrays["mask"] == 1)
    everything = np.concatenate([phases[None], run.first.phases, run.second.phases])
    for step, expected in zip(arrays["times"], arrays["phases64"].T, strict=True):
        known = ~np.isnan(expected)
        found = everything[step - 1][known].astype(complex)
        np.testing.assert_allclose(np.exp(1j * found), np.exp(1j * expected[known]), rtol=0, atol=tolerance)
    matrices = list(windows(cfg, run, phases))
    np.testing.assert_allclose(matrices[-1], arrays["rho_last"], rtol=0, atol=tolerance_rho)
    return matrices


@pytest.mark.parametrize(("name", "case"), golden_cases("cvrnn*.npz"))
def test_golden_cvrnn(name, case):
    cfg, arrays = golden_case(name, case)
    with float64():
        *inputs, steps = published(cfg, arrays)
        couplings = inputs[2]
        np.testing.assert_allclose(couplings[0][0], arrays["K1_row0"], atol=1e-12)
        run = jax.tree.map(np.asarray, cvrnn.two_layers(*inputs, num_steps=steps))
        matrices = check_published(cfg, arrays, run, inputs[1], 1e-9, 1e-6)
        logs = np.concatenate([[0], run.first.log_scale, run.second.log_scale]) / np.log(10)
        np.testing.assert_allclose(logs, arrays["log10_absmax64"], atol=1e-9)
        for i, rho in enumerate(matrices):
            values, vectors = np.linalg.eigh(rho)
            order = np.argsort(-np.abs(values))[:3]
            shown = np.abs(rho @ vectors[:, order])
            np.testing.assert_allclose(shown, arrays["projection_abs"][..., i], atol=1e-9)
    narrow = [np.asarray(x, np.float32) for x in inputs[:2]]
    run = cvrnn.two_layers(*narrow, [np.asarray(x, np.float32) for x in couplings], num_steps=steps)
    check_published(cfg, arrays, jax.tree.map(np.asarray, run), narrow[1], 1e-4, 1e-4)


def network(units):
    coupling = np.exp(-(np.subtract.outer(np.arange(units), np.arange(units)) ** 2) / 8.0)
    x = np.exp(1j * rng.uniform(-np.pi, np.pi, units))
    return x.real, x.imag, coupling, rng.normal(size=units)


@pytest.mark.parametrize("lag", [0.0, 0.7])
def test_the_closed_form_is_the_iteration(lag):
    args, steps = network(20), 400
    run = lambda *x: cvrnn.linear_trajectory(*x, num_steps=steps, phase_lag=lag)  # noqa: E731
    at = np.array([0, 1, 5, 50, steps])
    closed = lambda *x: cvrnn.closed_form(*x, num_steps=at, phase_lag=lag)  # noqa: E731
    iterated, found = in_float64(run, *args), in_float64(closed, *args)
    x = args[0] + 1j * args[1]
    np.testing.assert_allclose(found.real[0] + 1j * found.imag[0], x / np.abs(x).max(), atol=1e-12)
    for i, k in enumerate(at[1:], 1):
        for a, b in ((found.real, iterated.real), (found.imag, iterated.imag)):
            np.testing.assert_allclose(a[i], b[k - 1], atol=1e-10)
        np.testing.assert_allclose(found.log_scale[i], iterated.log_scale[k - 1], rtol=1e-10)
    assert iterated.log_scale[-1] > 300  # beyond float32 three times over


def test_a_step_is_the_matrix():
    real, imag, coupling, frequency = network(6)
    step = lambda *x: cvrnn.linear_step(*x, phase_lag=0.3)  # noqa: E731
    found = in_float64(step, real, imag, coupling, frequency)
    matrix = np.diag(1j * frequency) + np.exp(-0.3j) * coupling
    np.testing.assert_allclose(found[0] + 1j * found[1], matrix @ (real + 1j * imag), atol=1e-12)


def test_float32_does_not_overflow():
    args = [np.float32(x) for x in network(30)]
    run = cvrnn.linear_trajectory(*args, num_steps=2000)
    assert np.isfinite(run.real).all() and np.isfinite(run.log_scale).all() and run.log_scale[-1] > 1000
    gradient = jax.grad(lambda w: jnp.sin(cvrnn.linear_trajectory(*args[:3], w, num_steps=500).phases[-1]).sum())
    assert np.isfinite(gradient(args[3])).all()


def test_the_exact_operator_follows_kuramoto_to_first_order():
    """A ring of 20 units, 4 neighbours on each side, with a phase lag."""
    units, time, lag = 20, 0.5, 0.4
    away = np.abs(np.subtract.outer(np.arange(units), np.arange(units)))
    coupling = 0.75 * (np.isin(np.minimum(away, units - away), range(1, 5)))
    phases, frequency = rng.uniform(-3, 3, units), rng.normal(size=units)
    counts, errors = np.array([50, 100, 200, 400]), []
    fine = phases
    for _ in range(8000):
        difference = fine - fine[:, None] - lag
        fine = fine + time / 8000 * (frequency + (coupling * np.sin(difference)).sum(1))
    with float64():
        for count in counts:
            dt = time / count
            operator = cvrnn.exact_operator(coupling, dt=dt, phase_lag=lag)
            state = jnp.asarray(phases)
            step = lambda _, x, dt=dt, operator=operator: cvrnn.exact_step(  # noqa: E731
                x, operator, dt=dt, natural_frequency=frequency
            )
            errors.append(np.abs(jax.lax.fori_loop(0, count, step, state) - fine).max())
    assert errors[-1] < 0.01
    assert -slope(counts, errors) == pytest.approx(1, abs=0.15)


def test_a_ring_by_the_exact_operator_is_the_simulated_one():
    """The published demonstration: 50 oscillators of 5 Hz, 10 neighbours on each side, a second in steps of 1 ms."""
    units, frequency, dt, steps = 50, 2 * np.pi * 5, 1e-3, 1000
    away = np.abs(np.subtract.outer(np.arange(units), np.arange(units)))
    coupling = 0.75 * np.isin(np.minimum(away, units - away), range(1, 11))
    phases = np.random.default_rng(0).uniform(-np.pi, np.pi, units)
    field = lambda _, x: frequency + (coupling * np.sin(x - x[:, None])).sum(1)  # noqa: E731
    times = dt * np.arange(1, steps + 1)
    exact = scipy.integrate.solve_ivp(field, (0, times[-1]), phases, t_eval=times, rtol=1e-8, atol=1e-8).y.T

    def run(phases):
        operator = cvrnn.exact_operator(coupling, dt=dt)
        step = lambda x: cvrnn.exact_step(x, operator, dt=dt, natural_frequency=frequency)  # noqa: E731
        return unroll(step, phases, steps, collect=lambda x: x)[1]

    found = in_float64(run, phases)
    assert np.abs(found - exact).max() < 0.1
    order = np.abs(np.exp(1j * found).mean(1))
    assert order[0] < 0.3 and order[-1] > 0.95


def test_two_units_without_lag_meet_as_kuramotos_do():
    operator = cvrnn.exact_operator(np.ones((2, 2)) - np.eye(2), dt=0.01)
    phases = plain = np.array([0.0, 2.0], np.float32)
    for _ in range(50):
        phases = cvrnn.exact_step(phases, operator, dt=0.01)
        plain = kuramoto.graph_step(plain, np.ones((2, 2)) - np.eye(2), rate=0.01)
    np.testing.assert_allclose(phases, plain, atol=0.02)


def test_what_is_not_right_is_refused():
    with pytest.raises(ValueError, match=r"coupling must be \(N, N\) for states .*, got \(3, 4\) and \(4,\)"):
        cvrnn.linear_step(np.ones(4), np.ones(4), np.ones((3, 4)), 1.0)
    with pytest.raises(ValueError, match=r"real must be \(N,\), got shape \(2, 4\)"):
        cvrnn.closed_form(np.ones((2, 4)), np.ones((2, 4)), np.ones((4, 4)), 1.0, num_steps=3)
    with pytest.raises(ValueError, match=r"coupling must be \(N, N\), got shape \(3, 4\)"):
        cvrnn.exact_operator(np.ones((3, 4)), dt=0.1)
    with pytest.raises(ValueError, match=r"phases must be \(4,\) as natural_frequency, got \(3,\)"):
        cvrnn.two_layers(np.ones(4), np.ones(3), (np.ones((4, 4)),) * 2)


def hollow(size, *boxes):
    """A picture of -1 with hollow squares of 1, and the number of the square at each pixel, 0 outside."""
    picture, labels = -np.ones((size, size), np.float32), np.zeros((size, size), int)
    for number, (row, column, side) in enumerate(boxes, 1):
        outline = np.ones((side, side), bool)
        outline[2:-2, 2:-2] = False
        part = (slice(row, row + side), slice(column, column + side))
        picture[part][outline], labels[part][outline] = 1, number
    return picture.ravel(), labels.ravel()


def test_the_background_is_right_at_every_pixel_for_every_start():
    picture, labels = hollow(20, (2, 2, 7), (11, 10, 8))
    couplings = [cvrnn.gaussian_coupling(20, 20, sigma=sigma) for sigma in (0.9, 0.0313)]
    starts = rng.uniform(-np.pi, np.pi, (10, 400)).astype(np.float32)
    run = cvrnn.two_layers(np.broadcast_to(picture, starts.shape), starts, couplings, num_steps=(59, 1))
    np.testing.assert_array_equal(run.background, np.broadcast_to(labels == 0, starts.shape))
