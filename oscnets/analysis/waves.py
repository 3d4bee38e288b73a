"""Waves over an image: gradients of phase, wavelengths, spectra by class, receptive fields."""

from collections.abc import Callable
from functools import partial
from typing import Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp
from jax import Array

from oscnets._inputs import (
    at_least_float32,
    class_indices,
    dense_array,
    floats,
    standard_promotion,
    whole_number,
)
from oscnets.analysis.signals import instantaneous_phase
from oscnets.phase import modulus, wrap

Differences: TypeAlias = Literal["raw", "wrapped"]


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
    differences: Differences = "raw",
) -> Array:
    """Share of wavelengths above a threshold.

    Args:
        states: (T, ..., H, W, C).
        threshold: pixels.
        axis: to average over; None: all.
        differences: of phases, see `wavelength`. The threshold of 1.5 pixels separates waves from jumps of the "raw"
            phase (Jacobs et al., 2025, figure 10); of "wrapped" differences nearly all wavelengths are above it.

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
