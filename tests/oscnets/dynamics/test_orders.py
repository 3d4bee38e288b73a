"""Orders of the integrators: errors at one time for steps of dt, dt / 2 and dt / 4, against another solver."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate

from oscnets.dynamics import agreement, graphs, kuramoto, recurrent, sphere, unroll
from tests.helpers import in_float64, slope

rng = np.random.default_rng(0)
UNITS, TIME, COUNTS = 5, 1.0, np.array([100, 200, 400])
PHASES, FREQUENCY, LAG = rng.uniform(-3, 3, UNITS), rng.normal(size=UNITS), 0.4
COUPLING, OTHER = rng.normal(size=(2, UNITS, UNITS)) / 2
INERTIA, DAMPING, SPEED = rng.uniform(0.5, 2, UNITS), rng.uniform(0.2, 1, UNITS), rng.normal(size=UNITS)


def solved(field, *state):
    """The state at TIME by SciPy's adaptive steps of order 8, from a right-hand side in NumPy."""
    shape, tolerances = np.shape(state), {"rtol": 1e-11, "atol": 1e-12}
    flat = lambda t, y: np.stack(field(*y.reshape(shape))).ravel()  # noqa: E731
    return scipy.integrate.solve_ivp(flat, (0, TIME), np.ravel(state), "DOP853", **tolerances).y[:, -1].reshape(shape)


def force(phases, coupling, lag=0.0):
    return (coupling * np.sin(phases - phases[:, None] - lag)).sum(1)


def graph():
    options = {"natural_frequency": FREQUENCY, "phase_lag": LAG}
    exact = solved(lambda x: (FREQUENCY + force(x, COUPLING, LAG),), PHASES)
    run = lambda dt, n: kuramoto.graph_trajectory(PHASES, COUPLING, rate=dt, num_steps=n, every=n, **options)  # noqa: E731
    return run, exact


def inertia():
    def field(phases, velocity):
        return velocity, (FREQUENCY + force(phases, COUPLING) - DAMPING * velocity) / INERTIA

    options = {"inertia": INERTIA, "damping": DAMPING, "natural_frequency": FREQUENCY}
    run = lambda dt, n: [  # noqa: E731
        x[0] for x in graphs.inertial_trajectory(PHASES, SPEED, COUPLING, dt=dt, num_steps=n, every=n, **options)
    ]
    return run, solved(field, PHASES, SPEED)


def delays():
    """The second oscillator, which turns alone, pulls the first after a delay: tan(gap / 2) to what is heard decays."""
    delay, speed, strength, start = 0.3, 0.7, 1.2, np.array([0.0, 1.0])

    def run(dt, n):
        steps = round(delay / dt)
        history = start + speed * dt * np.arange(-steps, 1)[:, None]
        coupling = strength * np.array([[0, 1], [0, 0]])
        return graphs.delayed_trajectory(history, coupling, steps, rate=dt, natural_frequency=speed, num_steps=n)[-1, 0]

    gap = start[1] - speed * delay - start[0]
    heard = start[1] + speed * (TIME - delay)
    return run, heard - 2 * np.arctan(np.tan(gap / 2) * np.exp(-strength * TIME))


def queries_and_keys():
    layers, gains = ((2, 2), (1,)), agreement.Gains(1.5, -0.3, 0.5)
    queries, keys = rng.normal(size=(2, UNITS, 3))
    couplings = in_float64(lambda: agreement.coupling(queries, keys, layers, gains))
    strength = np.abs(couplings).sum(1)

    def run(dt, n):
        step = lambda x: agreement.attention_step(x, queries, keys, layers, gains, rate=dt, floor=0.0)  # noqa: E731
        return unroll(step, jnp.asarray(PHASES), n)[0]

    return run, solved(lambda x: (force(x, couplings) / strength,), PHASES)


def cornn():
    drive, stiffness = rng.normal(size=UNITS), rng.uniform(1, 4, UNITS)

    def field(y, z):
        return z, np.tanh(COUPLING @ y + OTHER @ z + drive) - stiffness * y - DAMPING * z

    def run(dt, n):
        options = {"dt": dt, "stiffness": stiffness, "damping": DAMPING}
        both = recurrent.oscillator_trajectory(np.broadcast_to(drive, (n, UNITS)), COUPLING, OTHER, **options)
        return [x[-1] for x in both]

    return run, solved(field, *np.zeros((2, UNITS)))


def spheres():
    """Unit vectors of three components, of which the first two turn."""
    start = rng.normal(size=(UNITS, 3))
    start /= np.linalg.norm(start, axis=1, keepdims=True)

    def field(*x):
        x = np.stack(x)
        pull = COUPLING @ x
        turn = np.stack([FREQUENCY * x[:, 1], -FREQUENCY * x[:, 0], 0 * x[:, 0]], axis=1)
        return turn + pull - (pull * x).sum(1, keepdims=True) * x

    def run(dt, n):
        step = lambda x: sphere.sphere_step(x, COUPLING @ x, rate=dt, rotation=FREQUENCY[:, None])  # noqa: E731
        return unroll(step, jnp.asarray(start), n)[0]

    return run, solved(field, *start)


@pytest.mark.parametrize("system", [graph, inertia, delays, queries_and_keys, cornn, spheres])
def test_order_one(system):
    run, exact = system()
    ends = in_float64(lambda: [jnp.asarray(run(TIME / n, int(n))) for n in COUNTS])
    errors = [np.abs(end - exact).max() for end in ends]
    assert 1e-6 < errors[-1] < 0.01
    assert -slope(COUNTS, errors) == pytest.approx(1, abs=0.1)
