"""Vector fields: steps go along them to first order, and solvers of other libraries integrate them."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import scipy.special

from oscnets import analysis, phase
from oscnets.dynamics import agreement, as_ode, graphs, kuramoto, waves
from tests.helpers import float64, in_float64, slope

rng = np.random.default_rng(0)
uniform = lambda *shape: rng.uniform(-1, 1, shape)  # noqa: E731
PAIR = np.array([[0.0, 1.0], [1.0, 0.0]])
IMAGE = uniform(2, 5, 4, 2)
KERNEL = {"amplitude": np.abs(uniform(2, 5, 4, 2)), "kernel": uniform(3, 3, 2, 2), "epsilon": 0.1}
GRAPH = {"coupling": uniform(6, 6), "natural_frequency": uniform(6), "phase_lag": 0.4}
GRAPH |= {"harmonics": graphs.Harmonics(uniform(2), uniform(2)), "forcing": graphs.Forcing(0.5, 2.0, uniform(6))}
OSCILLATORS = {"kernel": uniform(3, 3, 2, 2), "omega": np.abs(uniform(5, 4, 2)), "damping": 0.3}
MASK = rng.uniform(size=(5, 4, 1)) < 0.8
MEMBRANE = {"speed": np.abs(uniform(5, 4, 1)), "mask": MASK}

FIELDS = {
    "graph": (kuramoto.vector_field, kuramoto.graph_step, 3 * uniform(2, 6), GRAPH, "rate"),
    "kernel": (kuramoto.conv_vector_field, kuramoto.conv_step, 3 * IMAGE, KERNEL, "rate"),
    "agreement": (
        kuramoto.agreement_vector_field,
        kuramoto.agreement_step,
        3 * uniform(6),
        {"coupling": GRAPH["coupling"]},
        "rate",
    ),
    "membrane": (waves.wave_vector_field, waves.wave_step, (IMAGE * MASK, uniform(2, 5, 4, 2)), MEMBRANE, "dt"),
    "oscillators": (
        waves.oscillator_vector_field,
        waves.oscillator_step,
        (IMAGE, uniform(2, 5, 4, 2)),
        OSCILLATORS,
        "dt",
    ),
}


@pytest.mark.parametrize("name", FIELDS)
def test_steps_go_along_the_field_to_first_order(name):
    """(step(y, h) - y) / h is the field up to O(h); a single Euler step of phases exactly."""
    field, step, start, args, size = FIELDS[name]
    state = start if isinstance(start, tuple) else (start,)
    exact = in_float64(lambda: as_ode(field)(0.0, start, args))

    def error(h):
        after = in_float64(lambda: step(*state, **args, **{size: h}))
        after, expected = (x if isinstance(x, tuple) else (x,) for x in (after, exact))
        return max(np.abs((a - x) / h - d).max() for a, x, d in zip(after, state, expected, strict=True))

    assert max(np.abs(x).max() for x in jax.tree.leaves(exact)) > 0.3
    steps = np.array([1e-1, 1e-2, 1e-3])
    errors = [error(h) for h in steps]
    if size == "rate":
        assert max(errors) < 1e-9
    else:
        assert slope(steps, errors) == pytest.approx(1, abs=0.05)


def test_phases_far_from_zero_have_the_same_velocity():
    """The fast sines of the kernel are accurate within 2.5e4 rad only."""
    turns = 2 * np.pi * 10_000
    field = lambda p: kuramoto.conv_vector_field(p, **KERNEL)  # noqa: E731
    np.testing.assert_allclose(field(np.float32(IMAGE + turns)), field(IMAGE), atol=0.05)


def test_couplings_of_queries_and_keys_are_couplings():
    layers, gains = ((2, 2), (2,)), agreement.Gains(1.5, -0.3, 0.5)
    phases, queries, keys = 3 * uniform(6), uniform(6, 3), uniform(6, 3)
    coupling = agreement.coupling(queries, keys, layers, gains)
    step = agreement.attention_step(phases, queries, keys, layers, gains, rate=0.1)
    np.testing.assert_allclose(step, phases + 0.1 * kuramoto.agreement_vector_field(phases, coupling), atol=1e-5)


def test_the_time_reaches_the_forcing_alone():
    """One oscillator that is forced at its own frequency stays in phase with the forcing."""
    derivative = as_ode(kuramoto.vector_field)
    args = {"coupling": np.zeros((1, 1)), "natural_frequency": 2.0, "forcing": graphs.Forcing(3.0, 2.0)}
    for t in (0.0, 0.7, 5.0):
        np.testing.assert_allclose(derivative(t, np.array([2 * t]), args), [2.0], atol=1e-4)
        away = derivative(t, np.array([2 * t - np.pi / 2]), args)
        np.testing.assert_allclose(away, [5.0], atol=1e-4)
    alone = as_ode(lambda phases, time: jnp.cos(time) * phases)
    for args in (None, {}):
        np.testing.assert_allclose(alone(0.3, np.ones(2), args), np.cos(0.3), atol=1e-6)
    np.testing.assert_allclose(alone(0.3, np.ones(2)), np.cos(0.3), atol=1e-6)
    periodic = as_ode(waves.wave_vector_field, boundary="periodic")
    constant = np.ones((3, 3)), np.zeros((3, 3))
    np.testing.assert_allclose(periodic(0.0, constant, {"speed": 1.0})[1], 0, atol=1e-6)


def test_a_solver_without_jax_integrates_the_drum():
    """The first mode of a square drum of 9 inner pixels, by SciPy: a cosine of the grid's frequency."""
    side, speed = 10, 1.0
    mode = np.sin(np.pi * np.arange(1, side) / side)
    start = np.stack([np.outer(mode, mode), np.zeros((side - 1,) * 2)])
    derivative = as_ode(waves.wave_vector_field)

    def flat(t, y):
        return np.stack(derivative(t, tuple(y.reshape(start.shape)), {"speed": speed})).ravel()

    with float64():
        solution = scipy.integrate.solve_ivp(flat, (0, 20), start.ravel(), t_eval=[5, 20], rtol=1e-8, atol=1e-10)
    omega = 2 * speed * np.sqrt(2) * np.sin(np.pi / (2 * side))
    for t, y in zip(solution.t, solution.y.T, strict=True):
        np.testing.assert_allclose(y.reshape(start.shape)[0], np.cos(omega * t) * start[0], atol=1e-6)


# By diffrax


@pytest.fixture
def diffrax():
    return pytest.importorskip("diffrax", reason="needs the extra diffrax")


def adaptive(diffrax, field, start, args, time, **options):
    controller = diffrax.PIDController(rtol=1e-8, atol=1e-8)
    options = {"stepsize_controller": controller, "max_steps": 4096} | options
    solution = diffrax.diffeqsolve(diffrax.ODETerm(field), diffrax.Tsit5(), 0.0, time, 1e-2, start, args, **options)
    return jax.tree.map(lambda x: x[-1], solution.ys)


def test_adaptive_steps_find_the_closed_form(diffrax):
    """Two oscillators: tan(gap / 2) decays by e^{-2 K t}."""
    time, gap = 1.5, 2.0
    with float64():
        args = {"coupling": jnp.asarray(PAIR), "natural_frequency": 0.3}
        last = np.asarray(
            adaptive(diffrax, as_ode(kuramoto.vector_field), jnp.array([0.0, gap]), args, time), np.float64
        )
    expected = 2 * np.arctan(np.tan(gap / 2) * np.exp(-2 * time))
    np.testing.assert_allclose(last[1] - last[0], expected, atol=1e-7)
    np.testing.assert_allclose(last.mean(), gap / 2 + 0.3 * time, atol=1e-7)


@pytest.mark.parametrize("name", ["graph", "kernel", "oscillators"])
def test_small_steps_tend_to_what_it_finds(diffrax, name):
    field, step, start, args, size = FIELDS[name]
    time, count = 0.5, 400
    with float64():
        start, args = jax.tree.map(jnp.asarray, (start, args))
        expected = jax.jit(lambda: adaptive(diffrax, as_ode(field), start, args, time))()
        at = lambda t: {"time": t} if name == "graph" else {}  # noqa: E731
        advance = lambda h, i, y: step(*(y if isinstance(y, tuple) else (y,)), **args, **at(i * h), **{size: h})  # noqa: E731
        ends = [jax.lax.fori_loop(0, n, partial(advance, time / n), start) for n in (count, 2 * count)]
        better = jax.tree.map(lambda a, b: 2 * b - a, *ends)  # Richardson's
        away = lambda found: jax.tree.map(lambda x, y: float(jnp.abs(x - y).max()), found, expected)  # noqa: E731
        coarse, fine, best = (max(jax.tree.leaves(away(found))) for found in (*ends, better))
        assert fine < 0.55 * coarse < 0.02
        assert best < 0.02 * coarse


@pytest.mark.slow
def test_adjoint_gradients_are_those_of_the_closed_form(diffrax):
    """d gap(T) / d K and / d gap(0), by checkpoints and by the continuous adjoint."""
    time, gap, strength = 1.0, 2.0, 0.8

    def exact(strength, gap):
        return 2 * jnp.arctan(jnp.tan(gap / 2) * jnp.exp(-2 * strength * time))

    with float64():
        expected = np.array(jax.grad(exact, (0, 1))(strength, gap))
        for adjoint in (diffrax.RecursiveCheckpointAdjoint(), diffrax.BacksolveAdjoint()):

            def solved(strength, gap, adjoint=adjoint):
                args = {"coupling": strength * jnp.asarray(PAIR)}
                start = jnp.stack([jnp.zeros_like(gap), gap])
                last = adaptive(diffrax, as_ode(kuramoto.vector_field), start, args, time, adjoint=adjoint)
                return last[1] - last[0]

            found = np.array(jax.jit(jax.grad(solved, (0, 1)))(jnp.asarray(strength), jnp.asarray(gap)))
            np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.slow
def test_a_stochastic_equation_has_the_order_of_noisy_identical_oscillators(diffrax):
    """All to all with noise D = sigma^2 / 2: r solves r = I_1(K r / D) / I_0(K r / D) (Sakaguchi, 1988).

    Once by Euler-Maruyama steps of diffrax, once by `graphs.noisy_trajectory`.
    """
    units, strength, sigma, dt, count = 400, 2.0, 1.0, 0.05, 400
    ratio = lambda x: scipy.special.ive(1, x) / scipy.special.ive(0, x)  # noqa: E731
    expected = scipy.optimize.brentq(lambda r: r - ratio(2 * strength * r / sigma**2), 0.1, 1)
    start, coupling = jnp.zeros(units), jnp.full((units, units), strength / units)

    lineax = pytest.importorskip("lineax")
    noise = lambda t, y, args: lineax.DiagonalLinearOperator(jnp.full(units, sigma))  # noqa: E731
    path = diffrax.VirtualBrownianTree(0.0, count * dt, dt / 2, (units,), jax.random.key(0))
    field = diffrax.ODETerm(as_ode(kuramoto.vector_field))
    terms = diffrax.MultiTerm(field, diffrax.ControlTerm(noise, path))
    saved = diffrax.SaveAt(ts=jnp.linspace(count * dt / 2, count * dt, 20))
    args, options = {"coupling": coupling}, {"saveat": saved}
    run = diffrax.diffeqsolve(terms, diffrax.Euler(), 0.0, count * dt, dt, start, args, **options).ys
    own = graphs.noisy_trajectory(start, coupling, jax.random.key(1), dt=dt, noise=sigma, num_steps=count, every=10)
    for phases in (run, own[20:]):
        assert float(jnp.abs(phase.order_parameter(phases)).mean()) == pytest.approx(expected, abs=0.03)
        assert analysis.metastability(phases) < 2e-3
