"""Waves on a membrane: closed forms, order, reversal, energy, boundaries, bad input."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oscnets.dynamics import unroll, waves
from tests.helpers import assert_close, assert_gradients, float64, in_float64, slope

SPEED = 0.8


def standing(side, modes=(1, 1)):
    """A mode of a clamped square on its inner pixels, (L - 1, L - 1)."""
    y, x = (np.sin(np.pi * m * np.arange(1, side) / side) for m in modes)
    return np.outer(y, x)


def run(position, velocity, length, step=waves.wave_step, **options):
    """The state after every step, in float64."""
    loop = lambda state: unroll(lambda s: step(*s, **options), state, length, collect=lambda s: s)[1]  # noqa: E731
    return in_float64(loop, (np.asarray(position, float), np.asarray(velocity, float)))


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
    counts, errors = np.array([20, 40, 80]), []
    both = np.stack([mode, mode])[..., None]
    for count in counts:
        dt = end / count
        lags = np.array([0.0, dt / 2])[:, None, None, None]
        positions, _ = run(both, omega * both * np.sin(omega * lags), count, speed=SPEED, dt=dt)
        errors.append(np.abs(positions[-1] - both * np.cos(omega * end)).max((1, 2, 3)))
    same, half = np.transpose(errors)
    assert slope(counts, same) == pytest.approx(-1, abs=0.1)
    assert slope(counts, half) == pytest.approx(-2, abs=0.1)


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


@pytest.mark.parametrize("step", [waves.wave_step, waves.reverse_wave_step])
def test_what_is_outside_the_mask_has_no_influence(step):
    rng = np.random.default_rng(0)
    mask = rng.uniform(size=(6, 7)) > 0.3
    position, velocity = np.where(mask, rng.normal(size=(2, 6, 7)), 0)

    def run(position, velocity, speed, dt):
        position, velocity = step(position, velocity, speed=speed, dt=dt, mask=mask)
        return (position + jnp.where(mask, velocity, 0)).sum(), position

    differentiate = jax.value_and_grad(run, argnums=(0, 1, 2, 3), has_aux=True)
    holes = [np.where(mask, x, np.nan) for x in (position, velocity)]
    expected, found = (differentiate(*state, 0.5, 0.5) for state in ((position, velocity), holes))
    assert_close(found, expected, 1e-6)
    np.testing.assert_array_equal(found[0][1][~mask], 0)
    np.testing.assert_array_equal(np.asarray(found[1][0])[~mask], 0)


def test_nothing_moves_outside_the_mask():
    """Neither by a solver along the field nor by steps, also where the Laplacian outside is not 0."""
    mask = np.ones((5, 6), bool)
    mask[:, 2:] = False
    position, velocity = np.where(mask, 1.0, 0), np.ones((5, 6))
    change, force = waves.wave_vector_field(position, velocity, speed=0.5, mask=mask)
    np.testing.assert_array_equal(np.asarray(change), mask)
    assert not np.asarray(force)[:, 2:].any() and (np.asarray(force)[:, 1] == -0.25 * np.array([2, 1, 1, 1, 2])).all()
    for step in (waves.wave_step, waves.reverse_wave_step):
        np.testing.assert_array_equal(step(position, velocity, speed=0.5, dt=0.5, mask=mask)[1][:, 2:], 1)


@pytest.mark.parametrize("kind", [float, np.float64, np.float32])
def test_numbers_of_numpy_are_numbers_as_those_of_python(kind):
    """They do not widen half precision, or float32 where 64 bits are on."""
    state = np.ones((2, 3, 4), np.float32)
    with float64():
        found = waves.wave_step(*state, speed=kind(0.5), dt=kind(0.5))
        field = waves.wave_vector_field(*state, speed=kind(0.5))
        energy = waves.wave_energy(*state, speed=kind(0.5), dt=kind(0.5))
    assert {x.dtype for x in (*found, *field, energy)} == {np.dtype(np.float32)}


def two_speeds(size=20):
    return np.where(np.arange(size) < size // 2, 0.5, 2.0) * np.ones((size, 1))


@pytest.mark.parametrize("boundary", ["clamped", "periodic"])
def test_energy_is_kept_where_speeds_differ(boundary):
    """One speed per pixel, some of them 0; and one per membrane, which is that of the membrane alone."""
    rng, speed = np.random.default_rng(0), two_speeds()
    speed[4:6, 3:5] = 0
    moves = speed[..., None] > 0
    position, velocity = rng.normal(size=(20, 20, 1)), moves * rng.normal(size=(20, 20, 1))
    options = {"speed": speed[..., None], "dt": 0.25, "boundary": boundary}
    energy = in_float64(partial(waves.wave_energy, **options), *run(position, velocity, 400, **options))
    assert energy.shape == (400, 1)
    assert np.ptp(energy) < 1e-10 * energy.min() and energy.min() > 0
    single = partial(waves.wave_energy, position[..., 0], velocity[..., 0], dt=0.25)
    several = np.array([0.0, 0.5, 2.0])
    each = in_float64(
        lambda u, v: waves.wave_energy(u, v, speed=several[:, None, None, None], dt=0.25),
        *(np.broadcast_to(x, (3, *x.shape)) for x in (position, velocity)),
    )
    with float64():
        assert_close(each[:, 0], np.array([single(speed=c) for c in several]), 1e-12)
        u, v, c = position[..., 0], velocity[..., 0], 0.7
        bend = c**2 * np.asarray(waves.laplacian(u))
        assert_close(single(speed=c), np.array(0.5 * (v**2 - u * bend + 0.25 * v * bend).sum()), 1e-13)


def test_energy_is_kept_in_float32_where_speeds_differ():
    state = (jnp.zeros((20, 20)).at[10, 4].set(1).at[10, 16].set(1), jnp.zeros((20, 20)))
    options = {"speed": jnp.asarray(two_speeds(), jnp.float32), "dt": 0.25}
    step = lambda state: waves.wave_step(*state, **options)  # noqa: E731
    energy = unroll(step, state, 400, collect=lambda state: waves.wave_energy(*state, **options))[1]
    assert np.ptp(energy) < 1e-5 * np.mean(energy)


def test_speeds_and_time_steps_of_any_shape():
    rng = np.random.default_rng(0)
    position, velocity = rng.normal(size=(2, 3, 4, 5, 2)).astype(np.float32)
    speeds, steps = rng.uniform(0.2, 1, 3), rng.uniform(0.2, 0.5, 3)
    lift = lambda x: x[:, None, None, None]  # noqa: E731
    found = waves.wave_step(position, velocity, speed=lift(speeds), dt=lift(steps))
    for i in range(3):
        one = waves.wave_step(position[i], velocity[i], speed=speeds[i], dt=steps[i])
        assert_close(tuple(x[i] for x in found), one, 1e-6)
    assert waves.largest_dt(two_speeds()) == waves.largest_dt(2.0) == pytest.approx(1 / np.sqrt(8))
    assert waves.largest_dt([-2, 1]) == waves.largest_dt(jnp.array(2.0)) == waves.largest_dt(2.0)
    assert waves.largest_dt(np.zeros((2, 2))) == np.inf
    assert found[0].dtype == jnp.float32


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
    step = partial(waves.wave_step, speed=SPEED, dt=0.5)
    one, whole = in_float64(lambda u, v: (step(u[1, ..., 1], v[1, ..., 1]), step(u, v)), position, velocity)
    assert_close(one, tuple(x[1, ..., 1] for x in whole), 1e-13)
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
        ({"mask": np.ones((5, 4))}, r"mask must be a scalar or broadcast to position \(4, 5\), got shape \(5, 4\)"),
        ({"dt": np.full((5, 4), 0.1)}, r"dt must be a scalar or broadcast to position \(4, 5\), got shape \(5, 4\)"),
        ({"dt": np.full((2, 4, 5), 0.1)}, "dt must be a scalar or broadcast"),
        ({"dt": np.array([0.1, 0.1, 0.1, 0.1, 0])}, "dt must be finite and > 0, got"),
        ({"dt": np.full((4, 5), 1.0)}, "unstable: speed 0.8 and dt 1 need"),
        (
            {"speed": np.full((3, 5), 0.1)},
            r"speed must be a scalar or broadcast to position \(4, 5\), got shape \(3, 5\)",
        ),
        ({"speed": np.array([0.1, 0.1, np.inf, 0.1, 0.1])}, "speed must be finite, got inf"),
        ({"mask": np.ones((2, 4, 5))}, r"mask must be .*\(4, 5\), got shape \(2, 4, 5\)"),
    ],
)
def test_bad_membranes(change, message):
    with pytest.raises(ValueError, match=message):
        waves.wave_step(np.zeros((4, 5)), np.zeros((4, 5)), **({"speed": SPEED, "dt": 0.5} | change))


def test_bad_shapes_of_a_membrane_and_a_resting_one():
    with pytest.raises(ValueError, match=r"got \(4, 5\) and \(4, 4\)"):
        waves.wave_step(np.zeros((4, 5)), np.zeros((4, 4)), speed=SPEED, dt=0.5)
    with pytest.raises(ValueError, match=r"got \(4, 5\) and \(4, 4\)"):
        waves.wave_energy(np.zeros((4, 5)), np.zeros((4, 4)), speed=SPEED, dt=0.5)
    with pytest.raises(ValueError, match=r"got \(4,\)"):
        waves.laplacian(np.zeros(4))
    with pytest.raises(ValueError, match="unstable"):
        waves.grid_frequencies(13, 2.0, 0.5)
    with pytest.raises(ValueError, match=r"dt must be a single number, got shape \(2,\)"):
        waves.grid_frequencies(13, 1.0, np.full(2, 0.1))
    assert waves.largest_dt(0) == np.inf
    np.testing.assert_array_equal(waves.wave_step(np.ones((2, 3)), np.ones((2, 3)), speed=0, dt=9.0)[0], 10)
