"""Waves on a membrane and between oscillators: closed forms, order, reversal, energy, boundaries, bad input."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oscnets.dynamics import unroll, waves
from tests.helpers import assert_close, assert_finite, assert_gradients, float64, in_float64, slope

SPEED = 0.8


def standing(side, modes=(1, 1)):
    """A mode of a clamped square on its inner pixels, (L - 1, L - 1)."""
    y, x = (np.sin(np.pi * m * np.arange(1, side) / side) for m in modes)
    return np.outer(y, x)


def run(position, velocity, length, step=waves.wave_step, **options):
    """The state after every step, in float64."""
    loop = lambda state: unroll(lambda s: step(*s, **options), state, length, collect=lambda s: s)[1]  # noqa: E731
    return in_float64(loop, (np.asarray(position, float), np.asarray(velocity, float)))


# The membrane


def test_a_mode_of_the_drum_rings_at_the_frequency_of_the_grid():
    """The grid's modes are eigenvectors, so that a mode's amplitude follows one cosine exactly."""
    side, dt, modes = 9, 0.3, (2, 1)
    mode = standing(side, modes)
    (frequency,) = waves.grid_frequencies(side, SPEED, dt, [modes])
    turn = 2 * np.pi * frequency * dt  # The velocity starts where it stood half a step ago: u is a pure cosine.
    positions, _ = run(mode, mode * (1 - np.cos(turn)) / dt, 50, speed=SPEED, dt=dt)
    expected = np.cos(turn * np.arange(1, 51))[:, None, None] * mode
    np.testing.assert_allclose(positions, expected, atol=1e-12)


def test_frequencies_of_the_grid_approach_the_theory_with_the_square_of_the_spacing():
    sides = np.array([16, 32, 64])
    theory = np.array([waves.drum_frequencies(side, SPEED, [(3, 1)])[0] for side in sides])
    grid = np.array([waves.grid_frequencies(side, SPEED, 1e-3, [(3, 1)])[0] for side in sides])
    assert slope(sides, 1 - grid / theory) == pytest.approx(-2, abs=0.05)
    share = np.pi**2 / 24 / 64**2 * (3**4 + 1) / (3**2 + 1)
    assert 1 - grid[-1] / theory[-1] == pytest.approx(share, rel=0.02)
    assert waves.drum_frequencies(20, SPEED) == pytest.approx(SPEED * np.sqrt(2) / 40)


def test_a_struck_drum_peaks_at_the_fundamental_of_the_grid():
    side, dt, length = 14, 0.5, 4000
    position = np.zeros((side - 1,) * 2)
    position[6, 6] = 1
    positions, _ = run(position, 0 * position, length, speed=1.0, dt=dt)
    spectrum = np.abs(np.fft.rfft(np.hanning(length) * positions[:, 6, 6]))
    inner = spectrum[1:-1]
    peaks = 1 + np.flatnonzero((inner > 0.1 * inner.max()) & (inner >= spectrum[:-2]) & (inner >= spectrum[2:]))
    (expected,) = waves.grid_frequencies(side, 1.0, dt)
    assert abs(peaks[0] / (length * dt) - expected) <= 1 / (length * dt)


def test_the_step_is_of_first_order_and_leapfrog_started_right_of_second():
    """With v at the same time as u the step is of order one; with v half a step behind, of order two."""
    side, end = 8, 6.0
    mode, omega = standing(side), 2 * np.pi * waves.grid_frequencies(side, SPEED, 1e-9)[0]
    counts, errors = np.array([20, 40, 80]), {"same": [], "half": []}
    for count in counts:
        dt = end / count
        for name, lag in (("same", 0.0), ("half", dt / 2)):
            positions, _ = run(mode, omega * mode * np.sin(omega * lag), count, speed=SPEED, dt=dt)
            errors[name].append(np.abs(positions[-1] - mode * np.cos(omega * end)).max())
    assert slope(counts, errors["same"]) == pytest.approx(-1, abs=0.1)
    assert slope(counts, errors["half"]) == pytest.approx(-2, abs=0.1)


@pytest.mark.parametrize("boundary", ["clamped", "periodic"])
def test_time_reverses_and_energy_is_kept(boundary):
    rng = np.random.default_rng(0)
    mask = (rng.uniform(size=(6, 7, 1)) > 0.2) * 1.0
    position, velocity = mask * rng.normal(size=(2, 6, 7, 2)), rng.normal(size=(2, 6, 7, 2))
    options = {"speed": SPEED, "dt": 0.8, "boundary": boundary}
    ahead = run(position, velocity, 300, mask=mask, **options)
    back = run(ahead[0][-1], ahead[1][-1], 300, step=waves.reverse_wave_step, mask=mask, **options)
    assert_close((back[0][-1], back[1][-1]), (position, velocity), 1e-9)
    free = run(position, velocity, 300, **options)
    energy = in_float64(partial(waves.wave_energy, speed=SPEED, dt=0.8, boundary=boundary), *free)
    assert energy.shape == (300, 2, 2)
    assert np.ptp(energy, axis=0).max() < 1e-10 * energy.min()
    assert energy.min() > 0


def test_at_the_limit_the_membrane_stays_bounded_and_beyond_it_does_not():
    position = standing(21, (20, 20)) + standing(21)
    dt = waves.largest_dt(SPEED)
    assert np.abs(run(position, 0 * position, 2000, speed=SPEED, dt=dt)[0]).max() < 20
    step = lambda speed: unroll(lambda s: waves.wave_step(*s, speed=speed, dt=dt), (position, 0 * position), 100)  # noqa: E731
    beyond, _ = in_float64(lambda speed: step(speed)[0], 1.02 * SPEED)  # traced, so that nothing can be said before
    assert np.abs(beyond).max() > 1e2


def test_the_mask_holds_pixels_at_zero_and_nothing_passes():
    position = jnp.zeros((5, 9)).at[2, 1].set(1)
    mask = jnp.ones((5, 9)).at[:, 4].set(0)
    positions, _ = run(position, 0 * position, 60, speed=1.0, dt=0.5, mask=mask)
    assert np.abs(positions[:, :, 4:]).max() == 0
    assert np.abs(positions[-1, :, :4]).max() > 0.05


def test_boundaries_differ_as_they_should():
    position = jnp.zeros((4, 5, 1)).at[0, 2, 0].set(1)
    step = partial(waves.wave_step, position, 0 * position, speed=1.0, dt=0.5)
    clamped, periodic = (step(boundary=boundary)[1][..., 0] for boundary in ("clamped", "periodic"))
    assert periodic[3, 2] == 0.5
    assert clamped[3, 2] == 0
    assert clamped[0, 2] == periodic[0, 2] == -2
    assert_close(waves.laplacian(jnp.ones((4, 5, 1)), "periodic"), np.zeros((4, 5, 1), np.float32), 0)


def test_layouts_and_gradients_of_the_membrane():
    rng = np.random.default_rng(1)
    position, velocity = rng.normal(size=(2, 3, 4, 5, 2))
    one = waves.wave_step(position[1, ..., 1], velocity[1, ..., 1], speed=SPEED, dt=0.5)
    whole = waves.wave_step(position, velocity, speed=SPEED, dt=0.5)
    assert_close(one, tuple(x[1, ..., 1] for x in whole), 1e-6)
    with float64():
        value = lambda u, v, c: sum(jnp.sin(x).sum() for x in waves.wave_step(u, v, speed=c, dt=0.5))  # noqa: E731
        assert_gradients(value, jnp.asarray(position), jnp.asarray(velocity), jnp.asarray(0.7))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dt": 1.0}, r"unstable: speed 0\.8 and dt 1 need dt <= 1 / \(speed sqrt 2\) = 0\.8838"),
        ({"speed": np.full((4, 5), 3.0)}, "unstable: speed 3 and dt 0.5"),
        ({"dt": -0.1}, r"dt must be finite and > 0, got -0\.1"),
        ({"dt": float("nan")}, "dt must be finite and > 0, got nan"),
        ({"speed": float("nan")}, "speed must be finite, got nan"),
        ({"boundary": "free"}, "boundary must be one of clamped, periodic, got 'free'"),
        ({"mask": np.ones((5, 4))}, r"mask must broadcast to the position's shape \(4, 5\), got \(5, 4\)"),
        ({"mask": np.ones((2, 4, 5))}, r"mask must broadcast .*\(4, 5\), got \(2, 4, 5\)"),
    ],
)
def test_bad_membranes(change, message):
    with pytest.raises(ValueError, match=message):
        waves.wave_step(np.zeros((4, 5)), np.zeros((4, 5)), **({"speed": SPEED, "dt": 0.5} | change))


def test_bad_shapes_of_a_membrane_and_a_resting_one():
    with pytest.raises(ValueError, match=r"got \(4, 5\) and \(4, 4\)"):
        waves.wave_step(np.zeros((4, 5)), np.zeros((4, 4)), speed=SPEED, dt=0.5)
    with pytest.raises(ValueError, match="unstable"):
        waves.grid_frequencies(13, 2.0, 0.5)
    assert waves.largest_dt(0) == np.inf
    np.testing.assert_array_equal(waves.wave_step(np.ones((2, 3)), np.ones((2, 3)), speed=0, dt=9.0)[0], 10)


# Coupled oscillators


def laplace_kernel(channels):
    return np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0.0]])[:, :, None, None] * np.eye(channels)


def oscillators(lead=(2,), image=(5, 4), channels=2):
    rng = np.random.default_rng(0)
    shape = (*lead, *image, channels)
    kernel = laplace_kernel(channels) + 0.1 * rng.normal(size=(3, 3, channels, channels))
    return rng.normal(size=shape), rng.normal(size=shape), kernel, rng.uniform(size=shape), rng.uniform(size=shape)


def naive_step(position, velocity, kernel, omega, damping, dt, implicit=False):
    total = np.zeros_like(position)
    for y in range(3):
        for x in range(3):
            total += np.roll(position, (1 - y, 1 - x), (-3, -2)) @ kernel[y, x]
    force = np.tanh(total) - omega * position
    velocity = (
        (velocity + dt * force) / (1 + dt * damping) if implicit else velocity + dt * (force - damping * velocity)
    )
    return position + dt * velocity, velocity


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("channels", [2, 4])
def test_oscillators_step_as_the_equation_says_and_back(implicit, channels):
    given = oscillators(channels=channels)
    options = {"dt": 0.1, "implicit_damping": implicit}
    after = in_float64(partial(waves.oscillator_step, **options), *given)
    assert_close(after, naive_step(*given, 0.1, implicit), 1e-14)
    back = in_float64(partial(waves.reverse_oscillator_step, **options), *after, *given[2:])
    assert_close(back, given[:2], 1e-13)
    single = [x if i == 2 else x[1] for i, x in enumerate(given)]
    assert_close(waves.oscillator_step(*single, **options)[0], np.float32(after[0][1]), 1e-6)


@pytest.mark.parametrize("implicit", [False, True])
def test_an_oscillator_alone_matches_its_closed_form_with_order_one(implicit):
    """W = 0: u'' = -omega u - alpha u'."""
    omega, alpha, end = 4.0, 0.5, 3.0
    ring = np.sqrt(omega - alpha**2 / 4)
    exact = np.exp(-alpha * end / 2) * (np.cos(ring * end) + alpha / (2 * ring) * np.sin(ring * end))
    counts, errors = np.array([100, 200, 400]), []
    for count in counts:
        step = partial(waves.oscillator_trajectory, dt=end / count, num_steps=int(count), implicit_damping=implicit)
        one = np.ones((3, 3, 1))
        errors.append(abs(in_float64(step, one, 0 * one, np.zeros((3, 3, 1, 1)), omega, alpha).position - exact).max())
    assert slope(counts, errors) == pytest.approx(-1, abs=0.1)


def test_implicit_damping_is_stable_where_explicit_is_not():
    position, velocity, kernel, omega, _ = oscillators()
    step = partial(waves.oscillator_trajectory, dt=0.1, num_steps=200)
    implicit = in_float64(partial(step, implicit_damping=True), position, velocity, kernel, omega, 50.0)
    explicit = in_float64(step, position, velocity, kernel, omega, 50.0)
    assert np.abs(implicit.position).max() < 5
    assert np.abs(explicit.position).max() > 1e10


def value(reach, position, velocity, kernel, omega, damping):
    """Something of every step of a trajectory."""
    out = waves.oscillator_trajectory(position, velocity, kernel, omega, damping, dt=0.1, **reach)
    weights = jnp.arange(1.0, reach["num_steps"] + 1).reshape(-1, *[1] * position.ndim) / reach["num_steps"]
    return (weights * jnp.sin(out.positions)).mean() + (out.velocity**2).mean() + out.position.mean()


def test_trajectory_is_a_loop_with_gradients_of_finite_differences():
    given = oscillators((), (4, 3))
    out = in_float64(partial(waves.oscillator_trajectory, dt=0.1, num_steps=5), *given)
    state, kept = given[:2], []
    for _ in range(5):
        state = naive_step(*state, *given[2:], 0.1)
        kept.append(state[0])
    assert_close(tuple(out[:3]), (*state, np.stack(kept)), 1e-14)
    assert out.inverted is None
    with float64():
        assert_gradients(partial(value, {"num_steps": 5}), *map(jnp.asarray, given))


WAYS = {"checkpoints": {"checkpoint_every": 7}, "inverse": {"reversible": True}}


@pytest.mark.parametrize(("alpha", "inverted"), [(0.3, True), (3.0, False)])
def test_gradients_are_the_same_however_they_remember(alpha, inverted):
    """float32, 100 steps: undone steps where damping is weak, checkpoints where it is strong."""
    given = [np.float32(x) for x in oscillators()]
    given[4] *= alpha
    gradients = {}
    for name, way in (WAYS | {"plain": {}}).items():
        if name != "checkpoints" or inverted:
            fn = partial(value, {"num_steps": 100, **way})
            gradients[name] = jax.jit(jax.grad(fn, argnums=(0, 1, 2, 3, 4)))(*given)
    for name, found in gradients.items():
        for a, b in zip(found, gradients["plain"], strict=True):
            assert np.abs(a - b).max() <= 1e-4 * np.abs(b).max(), name
    run = partial(waves.oscillator_trajectory, dt=0.1, num_steps=100, reversible=True)
    assert run(*given).inverted == inverted


def test_gain_of_the_inverse():
    damping = np.array([0.0, 0.2, 0.5])
    gain = partial(waves.inverse_gain, damping, dt=0.1, num_steps=100)
    assert gain() == pytest.approx(0.95**-100, rel=1e-4)
    assert gain(implicit_damping=True) == pytest.approx(1.05**100, rel=1e-4)
    assert waves.inverse_gain(10.0, dt=0.1, num_steps=3) == np.inf


def test_silence_has_finite_gradients():
    zeros = [0 * x for x in oscillators()]
    gradients = jax.grad(partial(value, {"num_steps": 2}), argnums=(0, 1, 2, 3, 4))(*zeros)
    assert_finite(gradients)


@pytest.mark.parametrize(
    ("at", "bad", "message"),
    [
        (0, (2, 5, 4), r"position and velocity must both be \(..., H, W, C\), got \(2, 5, 4\) and \(2, 5, 4, 2\)"),
        (2, (3, 3, 2, 3), r"kernel must be \(kh, kw, C, C\).*got \(3, 3, 2, 3\)"),
        (2, (3, 2, 2, 2), "odd height and width, got 3 x 2"),
        (3, (3, 5, 4, 2), r"omega must broadcast to the position's shape \(2, 5, 4, 2\), got \(3, 5, 4, 2\)"),
        (4, (5, 4, 3), r"damping must broadcast"),
    ],
)
def test_bad_oscillators(at, bad, message):
    given = list(oscillators())
    given[at] = np.zeros(bad)
    with pytest.raises(ValueError, match=message):
        waves.oscillator_step(*given, dt=0.1)


def test_bad_lengths_and_steps():
    given = oscillators()
    with pytest.raises(ValueError, match="dt must be finite and > 0, got 0"):
        waves.oscillator_step(*given, dt=0)
    with pytest.raises(ValueError, match="num_steps must be >= 1, got 0"):
        waves.oscillator_trajectory(*given, dt=0.1, num_steps=0)
    with pytest.raises(ValueError, match="either reversible or checkpointed, got checkpoint_every=3"):
        waves.oscillator_trajectory(*given, dt=0.1, num_steps=4, checkpoint_every=3, reversible=True)
