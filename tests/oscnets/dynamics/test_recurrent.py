"""coRNN and wave-RNN as dynamics: loops in NumPy, waves around the ring, oscillators alone."""

import numpy as np
import pytest

from oscnets.dynamics import recurrent
from tests.helpers import in_float64

rng = np.random.default_rng(0)


def test_oscillators_are_the_equation():
    drive, couplings = rng.normal(size=(2, 9, 4)), rng.normal(size=(2, 4, 4)) / 2
    dt, stiffness, damping = 0.1, rng.uniform(0, 3, 4), rng.uniform(0, 5, 4)
    run = lambda *x: recurrent.oscillator_trajectory(*x, dt=dt, stiffness=stiffness, damping=damping)  # noqa: E731
    positions, velocities = in_float64(run, drive, *couplings)
    y = z = np.zeros((2, 4))
    for t in range(9):
        force = np.tanh(y @ couplings[0].T + z @ couplings[1].T + drive[:, t]) - stiffness * y - damping * z
        z = z + dt * force
        y = y + dt * z
        np.testing.assert_allclose(positions[:, t], y, atol=1e-12)
        np.testing.assert_allclose(velocities[:, t], z, atol=1e-12)
    options = {"dt": dt, "stiffness": stiffness, "damping": damping}
    step = lambda *x: recurrent.oscillator_step(*x, **options)  # noqa: E731
    last = in_float64(step, positions[:, -2], velocities[:, -2], drive[:, -1], *couplings)
    np.testing.assert_allclose(last, (y, z), atol=1e-5)


def test_an_oscillator_alone_turns_at_its_frequency():
    """Without coupling, drive or damping the step is the symplectic one: cos(w dt) = 1 - stiffness dt^2 / 2."""
    dt, stiffness = 0.1, 2.0
    y, z = np.ones(1), np.zeros(1)
    values = [1.0]
    for _ in range(400):
        y, z = recurrent.oscillator_step(y, z, 0.0, [[0]], [[0]], dt=dt, stiffness=stiffness, damping=0)
        values.append(float(y[0]))
    values = np.array(values)
    np.testing.assert_allclose(values[2:] + values[:-2], (2 - stiffness * dt**2) * values[1:-1], atol=1e-5)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_the_ring_is_the_equation(activation, size):
    drive, kernel = rng.normal(size=(2, 6, 7, 3)), rng.normal(size=(size, 3, 3)) / 2
    found = in_float64(lambda *x: recurrent.ring_trajectory(*x, activation=activation), drive, kernel)
    state = np.zeros((2, 7, 3))
    for t in range(6):
        received = drive[:, t].copy()
        for i in range(7):
            for j in range(size):
                received[:, i] += state[:, (i + j - size // 2) % 7] @ kernel[j]
        state = np.maximum(received, 0) if activation == "relu" else np.tanh(received)
        np.testing.assert_allclose(found[:, t], state, rtol=1e-10, atol=1e-12)


def test_a_pattern_travels_around_the_ring():
    kernel = np.zeros((3, 2, 2))
    kernel[2] = np.eye(2)
    state = pattern = rng.uniform(size=(8, 2)).astype(np.float32)
    for t in range(1, 9):
        state = recurrent.ring_step(state, 0.0, kernel)
        np.testing.assert_array_equal(state, np.roll(pattern, -t, axis=0))


def test_what_is_not_right_is_refused():
    options = {"dt": 0.1, "stiffness": 1.0, "damping": 1.0}
    with pytest.raises(ValueError, match=r"must be \(N, N\) for states .* got \(3, 4\), \(4, 4\) and \(2, 4\)"):
        recurrent.oscillator_trajectory(np.ones((2, 4)), np.ones((3, 4)), np.ones((4, 4)), **options)
    with pytest.raises(ValueError, match=r"drive must be \(\.\.\., T, N\), got shape \(4,\)"):
        recurrent.oscillator_trajectory(np.ones(4), np.ones((4, 4)), np.ones((4, 4)), **options)
    with pytest.raises(ValueError, match=r"kernel must be \(K, C, C\) for places .*, got \(3, 2, 3\) and \(5, 2\)"):
        recurrent.ring_step(np.ones((5, 2)), 0.0, np.ones((3, 2, 3)))
    with pytest.raises(ValueError, match="activation must be relu or tanh, got 'gelu'"):
        recurrent.ring_step(np.ones((5, 2)), 0.0, np.ones((3, 2, 2)), activation="gelu")
