"""Analysis of waves: analytic signals, phases, wavelengths, spectra by class, receptive fields.

The wave analysis follows Jacobs et al. (2025, appendix) after Davis et al. (2020): states become complex signals by the
Hilbert transform over time, and the wavelength at a pixel is 2 pi over the spatial gradient of their phase.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from oscnets.phase import angle, modulus, wrap

__all__ = [
    "analytic_signal",
    "class_spectra",
    "instantaneous_phase",
    "long_wave_share",
    "phase_gradient",
    "receptive_field",
    "receptive_field_width",
    "wavelength",
]


def __dir__() -> list[str]:
    return __all__


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
    signal = jnp.asarray(signal)
    if jnp.iscomplexobj(signal):
        raise ValueError(f"the signal must be real, got {signal.dtype}")
    length = signal.shape[axis]
    gain = np.zeros(length)
    gain[0] = 1
    gain[1 : (length + 1) // 2] = 2
    if length % 2 == 0:
        gain[length // 2] = 1
    shape = [length if i == axis % signal.ndim else 1 for i in range(signal.ndim)]
    spectrum = jnp.fft.fft(signal, axis=axis) * jnp.asarray(gain.reshape(shape), signal.real.dtype)
    return jnp.fft.ifft(spectrum, axis=axis)


def instantaneous_phase(signal: Array, axis: int = 0) -> Array:
    """Phase of the deviation of a signal from its mean over time, radians in (-pi, pi]; 0 where it is constant.

    Args:
        signal: real, any shape.
        axis: of time.
    """
    signal = jnp.asarray(signal)
    analytic = analytic_signal(signal - signal.mean(axis, keepdims=True), axis)
    return angle(analytic.real, analytic.imag)


def phase_gradient(phases: Array) -> tuple[Array, Array]:
    """Gradient of phases (..., H, W, C) along H and W, radians per pixel: mean of the differences to both neighbours.

    At the border it is the difference to the only neighbour. Each difference is wrapped to the shortest way around the
    circle, so that phases may jump by full turns, and waves shorter than two pixels appear as longer ones.

    Raises:
        ValueError: fewer than three axes, or fewer than 2 x 2 pixels.
    """
    if phases.ndim < 3 or phases.shape[-3] < 2 or phases.shape[-2] < 2:
        raise ValueError(f"phases must be (..., H, W, C) with at least 2 x 2 pixels, got {phases.shape}")
    return _slope(phases, -3), _slope(phases, -2)


def _slope(phases: Array, axis: int) -> Array:
    steps = wrap(jnp.diff(phases, axis=axis))
    first, last = (jax.lax.slice_in_dim(steps, *ends, axis=axis % steps.ndim) for ends in _ends(steps.shape[axis]))
    return 0.5 * (jnp.concatenate([first, steps], axis) + jnp.concatenate([steps, last], axis))


def _ends(size: int) -> tuple[tuple[int, int], tuple[int, int]]:
    return (0, 1), (size - 1, size)


def wavelength(states: Array) -> Array:
    """Local wavelength at every pixel and step: 2 pi / |spatial gradient of the instantaneous phase|.

    Args:
        states: (T, ..., H, W, C).

    Returns:
        Pixels, of the same shape; infinite where the gradient is 0.
    """
    along_h, along_w = phase_gradient(instantaneous_phase(states))
    size = modulus(along_h, along_w)
    return jnp.where(size > 0, 2 * jnp.pi / jnp.where(size > 0, size, 1), jnp.inf)


def long_wave_share(states: Array, threshold: float = 1.5, axis: int | tuple[int, ...] | None = None) -> Array:
    """Share of wavelengths above a threshold.

    Args:
        states: (T, ..., H, W, C).
        threshold: pixels.
        axis: to average over; None: all.

    Returns:
        In [0, 1]. `phase_gradient` is at most pi along either axis, so that no wavelength is below sqrt 2: the share is
        1 for every threshold below.
    """
    return (wavelength(states) > threshold).mean(axis)


def class_spectra(states: Array, labels: Array, num_classes: int) -> tuple[Array, Array]:
    """Mean amplitude spectrum of the pixels of each class.

    Args:
        states: (T, B, H, W, C).
        labels: (B, H, W) class indices.
        num_classes: K.

    Returns:
        |rfft| over time averaged over the pixels of a class, (K, T // 2 + 1, C), 0 for a class without pixels; and the
        number of pixels of each class, (K,).

    Raises:
        ValueError: shapes that do not fit.
    """
    if states.ndim != 5 or labels.shape != states.shape[1:4]:
        raise ValueError(f"labels must be (B, H, W) for states (T, B, H, W, C), got {labels.shape} and {states.shape}")
    spectrum = jnp.abs(jnp.fft.rfft(states, axis=0))
    members = jax.nn.one_hot(labels, num_classes, dtype=spectrum.dtype)
    sums = jnp.einsum("tbhwc,bhwk->ktc", spectrum, members, precision="highest")
    counts = members.sum((0, 1, 2))
    return sums / jnp.maximum(counts, 1)[:, None, None], counts


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
    image = jnp.asarray(image)
    if image.ndim != 3:
        raise ValueError(f"image must be (H, W, C), got shape {image.shape}")
    return jnp.abs(jax.grad(fn)(image)).sum(-1)


def receptive_field_width(field: Array, share: float = 0.0) -> Array:
    """Side of the square around the peak of a receptive field that contains all values above a share of the peak.

    Args:
        field: (H, W) >= 0.
        share: of the peak, in [0, 1).

    Returns:
        Whole number of pixels, () int: 2 r + 1 with r the largest distance along either axis from the peak; 0 where the
        field is 0 everywhere.

    Raises:
        ValueError: a field of another rank.
    """
    if field.ndim != 2:
        raise ValueError(f"field must be (H, W), got shape {field.shape}")
    peak = jnp.array(jnp.unravel_index(jnp.argmax(field), field.shape))
    inside = field > share * field.max()
    distances = [jnp.abs(jnp.arange(n) - at) for n, at in zip(field.shape, peak, strict=True)]
    reach = jnp.maximum(distances[0][:, None], distances[1][None, :])
    return jnp.where(inside.any(), 2 * jnp.where(inside, reach, 0).max() + 1, 0)
