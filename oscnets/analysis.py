"""Analysis of waves and synchrony: phases, wavelengths, spectra by class, receptive fields, order in time and space.

The wave analysis follows Jacobs et al. (2025, appendix) after Davis et al. (2020): states become complex signals by the
Hilbert transform over time, and the wavelength at a pixel is 2 pi over the spatial gradient of their phase. Half
precision is computed in float32, also the results. NaN in is NaN out.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from oscnets._inputs import (
    at_least_float32,
    class_indices,
    dense_array,
    floats,
    standard_promotion,
    whole_number,
)
from oscnets.phase import angle, modulus, order_parameter, sincos, wrap

Differences: TypeAlias = Literal["raw", "wrapped"]

_STILL = 4  # rounding errors of its largest value by which a signal that stands still may vary

__all__ = [
    "analytic_signal",
    "class_spectra",
    "critical_coupling",
    "instantaneous_phase",
    "local_order_parameter",
    "long_wave_share",
    "metastability",
    "phase_gradient",
    "phase_locking",
    "receptive_field",
    "receptive_field_width",
    "wavelength",
]


def __dir__() -> list[str]:
    return __all__


@standard_promotion
def analytic_signal(signal: Array, axis: int = 0) -> Array:
    """signal + i H[signal], H the Hilbert transform over one axis.

    Negative frequencies are removed and positive ones doubled; the mean, and the Nyquist frequency of an even length,
    are kept.

    Args:
        signal: real, any shape. It is taken as periodic: both ends of a signal that is not periodic oscillate.
        axis: of time.

    Returns:
        Complex array of the same shape.

    Raises:
        ValueError: a complex signal.
    """
    signal, axis = _signal(signal, axis)
    signal = signal.astype(at_least_float32(signal.dtype))
    length = signal.shape[axis]
    gain = np.zeros(length)
    gain[:1] = 1
    gain[1 : (length + 1) // 2] = 2
    if length % 2 == 0:
        gain[length // 2 : length // 2 + 1] = 1
    shape = [length if i == axis else 1 for i in range(signal.ndim)]
    if not signal.size:
        return jax.lax.complex(signal, signal)
    spectrum = jnp.fft.fft(signal, axis=axis) * jnp.asarray(gain.reshape(shape), signal.dtype)
    return jnp.fft.ifft(spectrum, axis=axis)


def _signal(signal: Array, axis: int) -> tuple[Array, int]:
    """A real signal of a floating type, and its axis of time counted from the first."""
    signal = dense_array("signal", signal)
    if jnp.iscomplexobj(signal):
        raise ValueError(f"the signal must be real, got {signal.dtype}")
    if not -signal.ndim <= axis < signal.ndim:
        raise ValueError(f"axis must be one of the signal's {signal.ndim}, got {axis}")
    return floats(signal=signal)[0], axis % signal.ndim


@standard_promotion
def instantaneous_phase(signal: Array, axis: int = 0) -> Array:
    """Phase of the deviation of a signal from its mean over time, radians in (-pi, pi].

    0 with zero gradient where the signal stands still: where it stays within four rounding errors of its largest value
    around the first one.

    Args:
        signal: real, any shape.
        axis: of time.

    Raises:
        ValueError: a complex signal.
    """
    signal, axis = _signal(signal, axis)
    if not signal.size:
        return signal.astype(at_least_float32(signal.dtype))
    rounding = _STILL * jnp.finfo(signal.dtype).eps
    signal = signal.astype(at_least_float32(signal.dtype))
    change = jnp.abs(signal - jax.lax.slice_in_dim(signal, 0, 1, axis=axis))
    still = (change <= rounding * jnp.abs(signal).max(axis, keepdims=True)).all(axis, keepdims=True)
    still &= jnp.isfinite(signal).all(axis, keepdims=True)
    deviation = jnp.where(still, 0, signal - signal.mean(axis, keepdims=True))
    analytic = analytic_signal(deviation, axis)
    return jnp.where(still, 0, angle(analytic.real, analytic.imag))


@standard_promotion
def phase_gradient(phases: Array, differences: Differences = "wrapped") -> tuple[Array, Array]:
    """Gradient of phases (..., H, W, C) along H and W, radians per pixel.

    Args:
        phases: (..., H, W, C) radians.
        differences: "wrapped": mean of the differences to both neighbours (at the border to the only one), each wrapped
            to the shortest way around the circle, so that phases may jump by full turns, and waves shorter than two
            pixels appear as longer ones. "raw": the difference to the next pixel (of the last pixel to the one before)
            as it is; where phases in (-pi, pi] jump by a full turn it is nearly 2 pi.

    Returns:
        Both of the shape of `phases`.

    Raises:
        ValueError: fewer than three axes, fewer than 2 x 2 pixels, or an unknown kind of differences.
    """
    (phases,) = floats(phases=phases)
    phases = phases.astype(at_least_float32(phases.dtype))
    if phases.ndim < 3 or phases.shape[-3] < 2 or phases.shape[-2] < 2:
        raise ValueError(f"phases must be (..., H, W, C) with at least 2 x 2 pixels, got {phases.shape}")
    if differences not in get_args(Differences):
        raise ValueError(f"differences must be one of {', '.join(get_args(Differences))}, got {differences!r}")
    slope = _wrapped_slope if differences == "wrapped" else _raw_slope
    return slope(phases, -3), slope(phases, -2)


def _wrapped_slope(phases: Array, axis: int) -> Array:
    steps = wrap(jnp.diff(phases, axis=axis))
    first, last = (jax.lax.slice_in_dim(steps, *ends, axis=axis % steps.ndim) for ends in _ends(steps.shape[axis]))
    return 0.5 * (jnp.concatenate([first, steps], axis) + jnp.concatenate([steps, last], axis))


def _raw_slope(phases: Array, axis: int) -> Array:
    steps = jnp.diff(phases, axis=axis)
    last = jax.lax.slice_in_dim(steps, *_ends(steps.shape[axis])[1], axis=axis % steps.ndim)
    return jnp.concatenate([steps, last], axis)


def _ends(size: int) -> tuple[tuple[int, int], tuple[int, int]]:
    return (0, 1), (size - 1, size)


@standard_promotion
def wavelength(states: Array, differences: Differences = "wrapped") -> Array:
    """Local wavelength at every pixel and step: 2 pi / |spatial gradient of the instantaneous phase|.

    Args:
        states: (T, ..., H, W, C).
        differences: of phases, see `phase_gradient`. "wrapped" gives the wavelength of the wave, at least sqrt 2.
            "raw" reads each place where the phase jumps by a full turn as a wave of 1 pixel: the peak at 1 pixel in the
            distribution of Jacobs et al. (2025, figure 10). No wavelength is below sqrt(1 / 2) then.

    Returns:
        Pixels, of the same shape; infinite where the gradient is 0, as it is where nothing moves.

    Raises:
        ValueError: shapes that do not fit, fewer than 2 x 2 pixels, or an unknown kind of differences.
    """
    along_h, along_w = phase_gradient(instantaneous_phase(states), differences)
    size = modulus(along_h, along_w)
    return jnp.where(size == 0, jnp.inf, 2 * jnp.pi / jnp.where(size == 0, 1, size))


@standard_promotion
def long_wave_share(
    states: Array,
    threshold: float = 1.5,
    axis: int | tuple[int, ...] | None = None,
    differences: Differences = "wrapped",
) -> Array:
    """Share of wavelengths above a threshold.

    Args:
        states: (T, ..., H, W, C).
        threshold: pixels.
        axis: to average over; None: all.
        differences: of phases, see `wavelength`. The paper's threshold of 1.5 pixels separates waves from jumps of the
            "raw" phase; of "wrapped" differences nearly all wavelengths are above it.

    Returns:
        In [0, 1], NaN where a wavelength is NaN. 1 for every threshold below the shortest possible wavelength, which is
        sqrt 2 of "wrapped" and sqrt(1 / 2) of "raw" differences.
    """
    lengths = wavelength(states, differences)
    return jnp.where(jnp.isnan(lengths), lengths, lengths > threshold).mean(axis)


@standard_promotion
def class_spectra(states: Array, labels: Array, num_classes: int) -> tuple[Array, Array]:
    """Mean amplitude spectrum of the pixels of each class.

    Args:
        states: (T, B, H, W, C).
        labels: (B, H, W) class indices. Pixels with any other label, such as that of a void class, do not count.
        num_classes: K.

    Returns:
        |rfft| over time averaged over the pixels of a class, (K, T // 2 + 1, C), 0 for a class without pixels; and the
        number of pixels of each class, (K,). A NaN reaches the spectrum of its class only.

    Raises:
        ValueError: shapes that do not fit, no step, or labels of a floating type.
    """
    (states,), num_classes = floats(states=states), whole_number("num_classes", num_classes, 1)
    states = states.astype(at_least_float32(states.dtype))
    labels = dense_array("labels", labels)
    if states.ndim != 5 or labels.shape != states.shape[1:4] or not len(states):
        raise ValueError(f"labels must be (B, H, W) for states (T, B, H, W, C), got {labels.shape} and {states.shape}")
    labels = class_indices("labels", labels, num_classes, counted=False)
    known = (labels >= 0) & (labels < num_classes)
    length, channels = states.shape[0] // 2 + 1, states.shape[-1]
    if not states.size:
        return jnp.zeros((num_classes, length, channels), states.dtype), jnp.zeros(num_classes, states.dtype)
    spectrum = jnp.fft.rfft(jnp.where(known[None, ..., None], states, 0), axis=0)
    by_pixel = jnp.moveaxis(modulus(spectrum.real, spectrum.imag), 0, -2).reshape(-1, length, channels)
    sums, counts = _sums_by_class(by_pixel, jnp.where(known, labels, -1).ravel(), num_classes=num_classes)
    return sums / jnp.maximum(counts, 1)[:, None, None], counts


@partial(jax.jit, static_argnames="num_classes", inline=True)
def _sums_by_class(values: Array, labels: Array, *, num_classes: int) -> tuple[Array, Array]:
    """Sums over pixels (P, ...), and their numbers, of each class; selected, so that NaN stays with its class."""

    def of_class(k: Array) -> tuple[Array, Array]:
        member = labels == k
        chosen = member.reshape(-1, *[1] * (values.ndim - 1))
        return jnp.where(chosen, values, 0).sum(0), member.sum(dtype=values.dtype)

    return jax.lax.map(of_class, jnp.arange(num_classes))


@standard_promotion
def receptive_field(fn: Callable[[Array], Array], image: Array) -> Array:
    """Absolute gradient of one number with respect to each pixel of an image.

    Args:
        fn: image -> scalar, for example a logit or a state at one pixel and time.
        image: (H, W, C).

    Returns:
        (H, W): the absolute values of the gradient summed over colours; 0 where `fn` does not depend on the image.

    Raises:
        ValueError: an image of another rank.
    """
    (image,) = floats(image=image)
    if image.ndim != 3:
        raise ValueError(f"image must be (H, W, C), got shape {image.shape}")
    return jnp.abs(jax.grad(fn)(image)).sum(-1)


@standard_promotion
def receptive_field_width(field: Array, share: float = 0.0) -> Array:
    """Side of the square around the peak of a receptive field that contains all values above a share of the peak.

    Args:
        field: (H, W) >= 0.
        share: of the peak, in [0, 1).

    Returns:
        Whole number of pixels, () int: 2 r + 1 with r the largest distance along either axis from the peak; 0 where the
        field is 0 everywhere, -1 where it holds a NaN.

    Raises:
        ValueError: a field of another rank.
    """
    (field,) = floats(field=field)
    if field.ndim != 2 or not field.size:
        raise ValueError(f"field must be (H, W), got shape {field.shape}")
    peak = jnp.array(jnp.unravel_index(jnp.argmax(field), field.shape))
    inside = field > share * field.max()
    distances = [jnp.abs(jnp.arange(n) - at) for n, at in zip(field.shape, peak, strict=True)]
    reach = jnp.maximum(distances[0][:, None], distances[1][None, :])
    width = jnp.where(inside.any(), 2 * jnp.where(inside, reach, 0).max() + 1, 0)
    return jnp.where(jnp.isnan(field).any(), -1, width)


@standard_promotion
def critical_coupling(width: Array | float, distribution: str = "lorentzian") -> Array:
    """Coupling from which a large population synchronizes: K_c = 2 / (pi g(0)) (Kuramoto, 1984).

    For oscillators that all receive K / N from each other, with natural frequencies of a density g that is symmetric
    about its peak g(0). Beyond it, Lorentzian frequencies have an order parameter of sqrt(1 - K_c / K).

    Args:
        width: radians per unit of time, as for `oscnets.dynamics.graphs.natural_frequencies`: half width at half height
            of "lorentzian" (K_c = 2 width), standard deviation of "gaussian" (sqrt(8 / pi) width), half of the range of
            "uniform" (4 width / pi).
        distribution: one of these.

    Returns:
        Radians per unit of time, of the shape of `width`.

    Raises:
        ValueError: an unknown distribution.
    """
    factors = {"lorentzian": 2.0, "gaussian": float(np.sqrt(8 / np.pi)), "uniform": 4 / np.pi}
    if distribution not in factors:
        raise ValueError(f"distribution must be one of {', '.join(factors)}, got {distribution!r}")
    (width,) = floats(width=width)
    return factors[distribution] * width


@standard_promotion
def local_order_parameter(phases: Array, weights: Array) -> Array:
    """Modulus of the weighted mean of e^{i phase_j} around each oscillator i.

    Args:
        phases: (..., N) radians.
        weights: (N, N) >= 0, row i holds the neighbours of oscillator i, for example a matrix of couplings.

    Returns:
        (..., N) in [0, 1]; 0 for an oscillator without neighbours.

    Raises:
        ValueError: shapes that do not fit.
    """
    phases, weights = floats(phases=phases, weights=weights)
    if not phases.ndim or weights.shape != 2 * phases.shape[-1:]:
        raise ValueError(f"weights must be (N, N) for phases (..., N), got {weights.shape} and {phases.shape}")
    dtype = phases.dtype
    phases, weights = (x.astype(at_least_float32(dtype)) for x in (phases, weights))
    total = weights.sum(-1)
    parts = [jnp.einsum("ij,...j->...i", weights, x, precision="highest") for x in sincos(phases)]
    return (modulus(*parts) / jnp.where(total == 0, 1, total)).astype(dtype)


@standard_promotion
def metastability(phases: Array) -> Array:
    """Variance over time of the modulus of the order parameter (Shanahan, 2010, equation 3).

    Args:
        phases: (T, ..., N) radians, T >= 2.

    Returns:
        (...,) >= 0, of T - 1 degrees of freedom: 0 where synchrony is constant, at any level.

    Raises:
        ValueError: fewer than two axes or steps.
    """
    (phases,) = floats(phases=phases)
    if phases.ndim < 2 or len(phases) < 2:
        raise ValueError(f"phases must be (T, ..., N) with T >= 2, got shape {phases.shape}")
    order = order_parameter(phases)
    return modulus(order.real, order.imag).var(0, ddof=1).astype(phases.dtype)


@standard_promotion
def phase_locking(phases: Array) -> Array:
    """Mean over time of e^{i (phase_j - phase_k)} of every pair of oscillators (Lachaux et al., 1999).

    The modulus is the phase-locking value in [0, 1], the angle the mean difference. For the cv-RNN it is the similarity
    of units, whose leading eigenvectors separate objects.

    Args:
        phases: (T, ..., N) radians.

    Returns:
        Complex array (..., N, N), Hermitian, at least complex64.

    Raises:
        ValueError: fewer than two axes, or no step.
    """
    (phases,) = floats(phases=phases)
    if phases.ndim < 2 or not len(phases):
        raise ValueError(f"phases must be (T, ..., N) with T >= 1, got shape {phases.shape}")
    sine, cosine = sincos(phases.astype(at_least_float32(phases.dtype)))
    mean = lambda a, b: jnp.einsum("t...j,t...k->...jk", a, b, precision="highest") / len(phases)  # noqa: E731
    across = mean(sine, cosine)
    return jax.lax.complex(mean(cosine, cosine) + mean(sine, sine), across - jnp.swapaxes(across, -1, -2))
