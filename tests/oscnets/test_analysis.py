"""Analysis of waves against SciPy and waves whose phase, wavelength and spectrum are known."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.interpolate
import scipy.ndimage
import scipy.signal
import scipy.stats

from oscnets import analysis
from tests.helpers import assert_close, float64


@pytest.mark.parametrize("length", [8, 9])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_analytic_signal_is_that_of_scipy(length, axis):
    signal = np.moveaxis(np.random.default_rng(0).normal(size=(length, 3, 4)), 0, axis)
    with float64():
        assert_close(analysis.analytic_signal(signal, axis), scipy.signal.hilbert(signal, axis=axis), 1e-13)
    assert analysis.analytic_signal(np.float32(signal), axis).dtype == np.complex64


def plane_wave(along_h, along_w, length=40, size=(9, 10), cycles=5):
    """cos(k x - w t) with whole numbers of cycles in time: (T, 1, H, W, 1); its phase is -(k x - w t) up to sign."""
    t = 2 * np.pi * cycles / length * np.arange(length)[:, None, None]
    y, x = np.mgrid[: size[0], : size[1]]
    return np.cos(along_h * y + along_w * x - t)[:, None, :, :, None]


def test_phase_of_a_plane_wave_and_of_silence():
    wave = 3.0 + plane_wave(0.7, -0.4)  # the mean does not count
    phases = np.asarray(analysis.instantaneous_phase(wave))
    t = 2 * np.pi * 5 / 40 * np.arange(40)[:, None, None]
    y, x = np.mgrid[:9, :10]
    np.testing.assert_allclose(np.exp(1j * phases[:, 0, ..., 0]), np.exp(1j * (t - 0.7 * y + 0.4 * x)), atol=1e-5)
    np.testing.assert_array_equal(analysis.instantaneous_phase(np.ones((6, 2))), 0)


@pytest.mark.parametrize("wave_numbers", [(0.7, -0.4), (0.0, 2.8), (2.9, 2.9)])
def test_wavelength_of_a_plane_wave(wave_numbers):
    found = analysis.wavelength(plane_wave(*wave_numbers))
    assert found.shape == (40, 1, 9, 10, 1)
    np.testing.assert_allclose(found, 2 * np.pi / np.hypot(*wave_numbers), rtol=1e-3)


def test_share_of_long_waves():
    """Half of the images swing as one, the others from pixel to pixel with almost opposite phase."""
    both = np.concatenate([plane_wave(0.5, 0.0), plane_wave(3.1, 3.1)], axis=1)
    share = partial(analysis.long_wave_share, both, differences="wrapped")
    assert share() == pytest.approx(0.5)
    np.testing.assert_allclose(share(axis=(0, 2, 3, 4)), [1, 0])
    assert share(threshold=20.0) == 0
    assert analysis.long_wave_share(np.ones((4, 3, 3, 1))) == 1  # infinitely long


def test_raw_differences_read_jumps_of_the_phase_as_waves_of_one_pixel():
    """A wave of 20 pixels along w: per step one jump from pi to -pi in 20 pixels, which wrapped differences undo."""
    states = plane_wave(0.0, np.pi / 10, size=(4, 60))
    phases = np.asarray(analysis.instantaneous_phase(states))
    raw_h, raw_w = analysis.phase_gradient(phases, "raw")
    np.testing.assert_array_equal(raw_w[..., :-1, :], np.diff(phases, axis=-2))
    np.testing.assert_array_equal(raw_w[..., -1, :], raw_w[..., -2, :])
    np.testing.assert_allclose(raw_h, 0, atol=1e-4)
    lengths = np.asarray(analysis.wavelength(states, "raw"))
    short = lengths < 1.5
    np.testing.assert_allclose(lengths[short], 20 / 19, rtol=1e-3)
    np.testing.assert_allclose(lengths[~short], 20, rtol=1e-3)
    assert short.mean() == pytest.approx(1 / 20, abs=0.005)
    assert analysis.long_wave_share(states) == pytest.approx(1 - short.mean(), abs=1e-6)
    assert analysis.long_wave_share(states, differences="wrapped") == 1


def test_shortest_wavelengths():
    """Those of any phases: the root of 1/2 where both raw differences are a full turn, the root of 2 where wrapped."""
    states = np.random.default_rng(0).normal(size=(50, 12, 12, 3))
    for kind, least in (("raw", np.sqrt(0.5)), ("wrapped", np.sqrt(2))):
        shortest = analysis.wavelength(states, kind).min()
        assert least <= shortest < 1.3 * least


@pytest.mark.parametrize("length", [2, 7, 10, 1000])
def test_signals_that_stand_still(length):
    """The mean of equal numbers is off by rounding, which is no motion; nor is an error of the last digit."""
    values, rng = np.float32([0.1, -1 / 3, 1e-20, 1e20, 7.0]), np.random.default_rng(0)
    ups = np.where(rng.uniform(size=(length, 1, 3, 3, 5)) > 0.5, np.nextafter(values, np.float32(np.inf)), values)

    @jax.jit
    def analyse(states):
        phases, pull = jax.vjp(analysis.instantaneous_phase, states)
        return phases, pull(phases + 1), 1 / analysis.wavelength(states), 1 - analysis.long_wave_share(states, 1e9)

    for states in (np.broadcast_to(values, ups.shape), ups):
        for found in analyse(states):
            np.testing.assert_array_equal(found, 0)


def test_small_motion_around_a_large_value_is_motion():
    wave = plane_wave(0.7, -0.4)
    with float64():
        np.testing.assert_allclose(analysis.wavelength(1e6 + 1e-3 * wave), analysis.wavelength(wave), rtol=1e-3)
    small = np.float32(1 + 1e-3 * wave)
    np.testing.assert_allclose(analysis.wavelength(small), analysis.wavelength(wave), rtol=1e-2)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_states_that_are_not_finite_have_no_wavelength(bad):
    states = plane_wave(0.7, -0.4).repeat(2, 1)
    states[3:, 1] = bad
    lengths = analysis.wavelength(states)
    assert np.isnan(lengths[:, 1]).all() and np.isfinite(lengths[:, 0]).all()
    np.testing.assert_array_equal(np.isnan(analysis.long_wave_share(states, axis=(0, 2, 3, 4))), [False, True])
    assert np.isnan(analysis.long_wave_share(np.full((6, 1, 3, 3, 1), bad)))


def test_spectra_of_classes():
    rng = np.random.default_rng(1)
    states, labels = rng.normal(size=(10, 2, 3, 4, 2)), rng.integers(0, 3, size=(2, 3, 4))
    labels[labels == 2] = 0
    spectra, counts = analysis.class_spectra(jnp.asarray(states), jnp.asarray(labels), 3)
    amplitude = np.abs(np.fft.rfft(states, axis=0))
    for k in (0, 1):
        np.testing.assert_allclose(spectra[k], amplitude[:, labels == k].mean(1), rtol=1e-5)
        assert counts[k] == (labels == k).sum()
    np.testing.assert_array_equal(spectra[2], 0)
    void = np.where(rng.uniform(size=labels.shape) < 0.3, 255, labels)
    holes = np.where((void == 255)[None, ..., None], np.nan, states)
    value = lambda states, labels: analysis.class_spectra(states, labels, 3)[0]  # noqa: E731
    found, pull = jax.vjp(lambda x: value(x, void), holes)
    np.testing.assert_allclose(found, value(states, np.where(void == 255, -1, void)), rtol=1e-5)
    assert np.isfinite(pull(found)[0]).all()
    holes[2, 1, 0, 0] = np.nan
    void[1, 0, 0] = 0
    np.testing.assert_array_equal(np.isnan(value(holes, void)).all((1, 2)), [True, False, False])


def test_receptive_field_and_its_width():
    def blur(image):
        """A 5 x 3 average of both colours at (4, 5), the second of which pulls the other way."""
        return (image[2:7, 4:7] * jnp.array([1.0, -2.0])).mean()

    field = analysis.receptive_field(blur, np.ones((9, 10, 2)))
    expected = np.zeros((9, 10), np.float32)
    expected[2:7, 4:7] = 3 / 30
    assert_close(field, expected, 1e-6)
    peaked = jnp.asarray(expected).at[4, 5].set(1.0)
    assert analysis.receptive_field_width(peaked) == 5
    assert analysis.receptive_field_width(peaked, share=0.5) == 1
    assert analysis.receptive_field_width(jnp.zeros((3, 4))) == 0
    assert analysis.receptive_field_width(peaked.at[0, 0].set(jnp.nan)) == -1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: analysis.analytic_signal(np.ones(4) * 1j), "signal must be real, got complex"),
        (lambda: analysis.phase_gradient(np.ones((1, 5, 2))), r"at least 2 x 2 pixels, got \(1, 5, 2\)"),
        (lambda: analysis.phase_gradient(np.ones((5, 5, 1)), "both"), "one of raw, wrapped, got 'both'"),
        (lambda: analysis.phase_gradient(np.ones((5, 5))), r"\(\.\.\., H, W, C\) .* got \(5, 5\)"),
        (lambda: analysis.class_spectra(np.ones((3, 1, 2, 2, 1)), np.ones((1, 2, 3)), 2), r"got \(1, 2, 3\) and"),
        (lambda: analysis.class_spectra(np.ones((3, 1, 2, 2, 1)), np.ones((1, 2, 2)), 2), "integer class indices"),
        (lambda: analysis.instantaneous_phase(np.ones(4), axis=1), "axis must be one of the signal's 1, got 1"),
        (lambda: analysis.analytic_signal(np.ones(4), axis=-2), "axis must be one of the signal's 1, got -2"),
        (lambda: analysis.generalized_phase(np.ones(4), axis=1), "axis must be one of the signal's 1, got 1"),
        (lambda: analysis.generalized_phase(np.ones(4), dt=-1e-3), r"dt must be finite and > 0, got -0\.001"),
        (lambda: analysis.generalized_phase(np.ones(4), dt=0), "dt must be finite and > 0, got 0"),
        (lambda: analysis.receptive_field(jnp.sum, np.ones((3, 3))), r"image must be \(H, W, C\), got shape \(3, 3\)"),
        (lambda: analysis.receptive_field_width(np.ones(3)), r"field must be \(H, W\), got shape \(3,\)"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_everything_runs_under_jit():
    states = jnp.asarray(plane_wave(0.7, 0.3), jnp.float32)
    labels = jnp.zeros((1, 9, 10), int)
    share, (spectra, _) = jax.jit(lambda x: (analysis.long_wave_share(x), analysis.class_spectra(x, labels, 2)))(states)
    assert float(share) == pytest.approx(float(analysis.long_wave_share(states)), abs=1e-6)
    assert np.argmax(spectra[0, :, 0]) == 5


@pytest.mark.parametrize("distribution", ["lorentzian", "gaussian", "uniform"])
def test_critical_coupling_is_that_of_the_density_at_its_peak(distribution):
    law = {"lorentzian": scipy.stats.cauchy, "gaussian": scipy.stats.norm, "uniform": scipy.stats.uniform(-1, 2)}
    expected = 2 / (np.pi * law[distribution].pdf(0)) * np.array([1, 0.3])
    np.testing.assert_allclose(analysis.critical_coupling([1, 0.3], distribution), expected, rtol=1e-6)
    with pytest.raises(ValueError, match="distribution must be one of lorentzian, gaussian, uniform, got 'beta'"):
        analysis.critical_coupling(1.0, "beta")


def test_local_order():
    rng = np.random.default_rng(0)
    phases, weights = rng.uniform(-3, 3, (2, 6)), rng.uniform(size=(6, 6)) * (rng.uniform(size=(6, 6)) < 0.7)
    weights[2] = 0
    found = analysis.local_order_parameter(phases, weights)
    for i in range(6):
        total = weights[i].sum()
        expected = np.abs(np.exp(1j * phases) @ weights[i]) / total if total else [0, 0]
        np.testing.assert_allclose(found[:, i], expected, atol=1e-6)
    np.testing.assert_allclose(analysis.local_order_parameter(np.ones(4), np.ones((4, 4))), 1, atol=1e-6)
    with pytest.raises(ValueError, match=r"weights must be \(N, N\) for phases .*, got \(2, 3\) and \(3,\)"):
        analysis.local_order_parameter(np.ones(3), np.ones((2, 3)))


def test_metastability():
    rng = np.random.default_rng(0)
    phases = rng.uniform(-3, 3, (9, 2, 5))
    expected = np.abs(np.exp(1j * phases).mean(-1)).var(0, ddof=1)
    np.testing.assert_allclose(analysis.metastability(phases), expected, atol=1e-6)
    turning = phases[:1] + np.arange(9)[:, None, None]  # as a whole: synchrony stays
    np.testing.assert_allclose(analysis.metastability(turning), 0, atol=1e-10)
    with pytest.raises(ValueError, match=r"phases must be \(T, \.\.\., N\) with T >= 2, got shape \(1, 3\)"):
        analysis.metastability(np.ones((1, 3)))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_synchrony_of_half_precision_is_float32(dtype):
    phases = jnp.asarray(np.random.default_rng(0).uniform(-3, 3, (9, 5)), dtype)
    for score in (lambda x: analysis.local_order_parameter(x, np.ones((5, 5), dtype)), analysis.metastability):
        found, expected = score(phases), score(phases.astype(jnp.float32))
        assert found.dtype == jnp.float32
        np.testing.assert_array_equal(found, expected)


def test_phase_locking():
    rng = np.random.default_rng(0)
    phases = rng.uniform(-3, 3, (30, 2, 4))
    phases[..., 1] = phases[..., 0] - 0.4 + 2 * np.pi * rng.integers(-3, 3, (30, 2))
    found = np.asarray(analysis.phase_locking(phases))
    expected = np.exp(1j * (phases[..., :, None] - phases[..., None, :])).mean(0)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(found[:, 0, 1], np.exp(0.4j), atol=1e-5)
    with pytest.raises(ValueError, match=r"phases must be \(T, \.\.\., N\) with T >= 1, got shape \(3,\)"):
        analysis.phase_locking(np.ones(3))


def generalized(x, dt, low):
    """Davis et al. (2020), one signal at a time, with SciPy's interpolation."""
    z = scipy.signal.hilbert(x - x.mean())
    turns = np.angle(z[1:] * z[:-1].conj()) / (2 * np.pi * dt)
    assert turns.mean() > 0
    slow = np.append(turns, 0) < low
    slow[0] = False
    replaced, labels = slow.copy(), scipy.ndimage.label(slow)[0]
    for (epoch,) in scipy.ndimage.find_objects(labels):
        first, last = epoch.start, epoch.stop - 1
        replaced[first : first + 3 * (last - first) + 1] = True
    known, phases = np.flatnonzero(~replaced), np.angle(z)
    phases[known] = np.unwrap(phases[known])
    at = np.flatnonzero(replaced)
    phases[at] = scipy.interpolate.PchipInterpolator(known, phases[known])(at)
    beyond = at[at > known[-1]]
    speed = (phases[known[-1]] - phases[known[-2]]) / (known[-1] - known[-2])
    phases[beyond] = phases[known[-1]] + speed * (beyond - known[-1])
    return phases, replaced


@pytest.mark.parametrize("low", [0.0, 4.0])
def test_generalized_phase(low):
    """Of noise of 5 to 40 Hz, whose analytic signal turns backwards now and then."""
    dt, rng = 1e-3, np.random.default_rng(0)
    sections = scipy.signal.butter(4, [5, 40], "bandpass", fs=1 / dt, output="sos")
    x = scipy.signal.sosfiltfilt(sections, rng.normal(size=(3, 2, 1500)))
    with float64():
        found = np.asarray(analysis.generalized_phase(x, -1, dt=dt, low_frequency=low))
        plain = np.asarray(analysis.instantaneous_phase(x, -1))
    for i in np.ndindex(3, 2):
        expected, replaced = generalized(x[i], dt, low)
        np.testing.assert_allclose(np.exp(1j * found[i]), np.exp(1j * expected), atol=1e-8)
        np.testing.assert_array_equal(found[i][~replaced], plain[i][~replaced])
        assert 0.02 < replaced.mean() < 0.7
    back = lambda phases: (np.diff(np.unwrap(phases, axis=-1), axis=-1) < 0).mean()  # noqa: E731
    assert back(plain) > 0.01
    assert back(found) < 0.8 * back(plain)  # not 0: a cubic between two phases may fall as they do


def test_generalized_phase_of_a_long_signal_is_as_exact_as_of_a_short_one():
    """After 62,500 turns a gap is mended from its two ends, with the rounding of phases, not of all turns."""
    length = 1_000_000
    t = np.arange(length) / length
    x = np.cos(2 * np.pi * length / 16 * t) * (1 + 0.2 * np.cos(2 * np.pi * 3 * t))
    x[length - 3000 : length - 2900] *= 0.01
    x[length - 3000 : length - 2900] += 0.8 * np.cos(2 * np.pi * length / 64 * t[:100])
    with float64():
        low = 0.055  # turns per sample; the signal's are 0.0625
        exact = analysis.generalized_phase(x, low_frequency=low)
        mended = np.asarray(exact != analysis.instantaneous_phase(x))
    found = analysis.generalized_phase(x.astype(np.float32), low_frequency=low)
    assert 50 < mended[-4000:-2000].sum() < 1000
    gap = np.abs(np.exp(1j * np.asarray(found, float)) - np.exp(1j * np.asarray(exact)))
    assert gap[-4000:-2000].max() < 2e-3


def test_generalized_phase_of_what_needs_no_mending():
    t = np.arange(64) / 64
    x = np.stack([np.cos(2 * np.pi * 5 * t), np.zeros(64), np.full(64, np.nan)], axis=1)
    found = analysis.generalized_phase(x)
    np.testing.assert_array_equal(found, analysis.instantaneous_phase(x))
    assert np.isnan(found[:, 2]).all() and not found[:, 1].any()
    with pytest.raises(ValueError, match="extent must be >= 1, got 0"):
        analysis.generalized_phase(x, extent=0)
