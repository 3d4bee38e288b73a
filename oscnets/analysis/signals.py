"""Phases of signals over time."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from oscnets._inputs import (
    at_least_float32,
    broadcasting,
    check_dt,
    dense_array,
    floats,
    standard_promotion,
    whole_number,
)
from oscnets.phase import angle, wrap

_STILL = 4  # rounding errors of its largest value by which a signal that stands still may vary


@standard_promotion
def analytic_signal(signal: Array, axis: int = 0) -> Array:
    """signal + i H[signal], H the Hilbert transform over one axis.

    Negative frequencies are removed and positive ones doubled; the mean, and the Nyquist frequency of an even length,
    are kept.

    Args:
        signal: real, any shape. It is taken as periodic: both ends of a signal that is not periodic oscillate.
        axis: of time.

    Returns:
        Complex array of the same shape, at least complex64.

    Raises:
        ValueError: a complex signal, an axis that it lacks.
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
        ValueError: a complex signal, an axis that it lacks.
    """
    signal, axis = _signal(signal, axis)
    if not signal.size:
        return signal.astype(at_least_float32(signal.dtype))
    return _moving_phase(signal, axis)[0]


def _moving_phase(signal: Array, axis: int) -> tuple[Array, Array]:
    """`instantaneous_phase` of a signal that is not empty, and where the signal stands still."""
    rounding = _STILL * jnp.finfo(signal.dtype).eps
    signal = signal.astype(at_least_float32(signal.dtype))
    change = jnp.abs(signal - jax.lax.slice_in_dim(signal, 0, 1, axis=axis))
    still = (change <= rounding * jnp.abs(signal).max(axis, keepdims=True)).all(axis, keepdims=True)
    still &= jnp.isfinite(signal).all(axis, keepdims=True)
    deviation = jnp.where(still, 0, signal - signal.mean(axis, keepdims=True))
    analytic = analytic_signal(deviation, axis)
    return jnp.where(still, 0, angle(analytic.real, analytic.imag)), still


@standard_promotion
def generalized_phase(
    signal: Array, axis: int = 0, *, dt: Array | float = 1.0, low_frequency: Array | float = 0.0, extent: int = 3
) -> Array:
    """Generalized phase of a wideband signal, whose analytic signal may turn backwards (Davis et al., 2020).

    Each epoch whose instantaneous frequency lies below `low_frequency`, prolonged forwards to `extent` times its
    length, is replaced by shape-preserving cubic interpolation of the unwrapped phase. Of a signal that turns backwards
    on average the direction is reversed first. After the last sample that is kept, the phase goes on at the last
    frequency.

    Args:
        signal: real, any shape, filtered to a wide band such as 5 to 40 Hz; its mean is subtracted.
        axis: of time.
        dt: time between samples, a scalar > 0; with seconds, frequencies are in Hz.
        low_frequency: turns per unit of time, a scalar; the lower end of the band, or 0.
        extent: >= 1.

    Returns:
        Radians in [-pi, pi], of the same shape; 0 where the signal stands still. Which samples are replaced has no
        gradient.

    Raises:
        ValueError: a complex signal, an axis that it lacks, an extent below 1, a dt or low frequency that is no scalar,
            a dt that is not finite and > 0, unless it is traced.
    """
    signal, axis = _signal(signal, axis)
    extent = whole_number("extent", extent, 1)
    wide = at_least_float32(signal.dtype)
    if not signal.size:
        return signal.astype(wide)
    check_dt(dt)
    dt, low = broadcasting((), "", wide, dt=dt, low_frequency=low_frequency)
    phases, still = (jnp.moveaxis(x, axis, 0) for x in _moving_phase(signal, axis))
    return jnp.moveaxis(_generalized(phases, still, low * dt, extent=extent), 0, axis)


@partial(jax.jit, static_argnames="extent", inline=True)
def _generalized(phases: Array, still: Array, low: Array, *, extent: int) -> Array:
    turns = wrap(jnp.diff(phases, axis=0)) / (2 * jnp.pi)
    phases = jnp.where(turns.sum(0) < 0, -phases, phases)
    turns = jnp.where(turns.sum(0) < 0, -turns, turns)
    slow = (jnp.concatenate([turns, jnp.zeros_like(phases[:1])]) < low).at[0].set(False)
    replaced = _extended(slow, extent) & ~still
    return jnp.where(replaced, wrap(_stitched(phases, ~replaced)), phases)


def _extended(epochs: Array, extent: int) -> Array:
    """Epochs along the first axis, each `extent` times as long from its first sample on, which itself counts once."""
    time = _times(epochs)
    first = epochs & ~jnp.concatenate([jnp.zeros_like(epochs[:1]), epochs[:-1]])
    start = lax.cummax(jnp.where(first, time, -1))
    reach = jnp.where(epochs, start + extent * (time - start), -1)
    return lax.cummax(reach) >= time


def _times(x: Array) -> Array:
    return jnp.broadcast_to(jnp.arange(len(x)).reshape(-1, *[1] * (x.ndim - 1)), x.shape)


def _stitched(phases: Array, known: Array) -> Array:
    """Unwrapped phases, those that are not known interpolated as SciPy's and MATLAB's pchip do; the first is known."""
    length, time = len(phases), _times(phases)
    take = lambda x, i: jnp.take_along_axis(x, jnp.clip(i, 0, length - 1), 0)  # noqa: E731
    last = lax.cummax(jnp.where(known, time, -1))
    next_ = lax.cummin(jnp.where(known, time, length), reverse=True)
    before = jnp.concatenate([jnp.full_like(last[:1], -1), last[:-1]])
    after = jnp.concatenate([next_[1:], jnp.full_like(next_[:1], length)])
    # From here on numbers at samples that are not known mean nothing.
    rise = jnp.where(known & (before >= 0), wrap(phases - take(phases, before)), 0)
    width = jnp.maximum(time - before, 1).astype(phases.dtype)
    pieces = _Piece(width, rise / width, before >= 0)
    at = lambda i, exists: _Piece(*(take(x, i) for x in pieces[:2]), exists)  # noqa: E731
    later = at(after, after < length)
    slope = _slope(
        pieces,
        later,
        at(before, (before >= 0) & (take(before, before) >= 0)),
        at(take(after, after), (after < length) & (take(after, after) < length)),
    )
    left, right = last, next_
    size = jnp.maximum(right - left, 1).astype(phases.dtype)
    part = (time - left) / size
    # Of the unwrapped phase the two ends of a gap alone: a sum over all samples would grow and be rounded.
    start = take(phases, left)
    ends, slopes = [start, start + take(rise, right)], [size * take(slope, i) for i in (left, right)]
    inside = (1 + 2 * part) * (1 - part) ** 2 * ends[0] + part * (1 - part) ** 2 * slopes[0]
    inside += part**2 * (3 - 2 * part) * ends[1] + part**2 * (part - 1) * slopes[1]
    onwards = ends[0] + (time - left) * take(pieces.secant, left)
    return jnp.where(right < length, inside, onwards)


class _Piece(NamedTuple):
    """Between two neighbours among known samples: its width, the secant, and whether there is one."""

    width: Array
    secant: Array
    exists: Array


def _slope(left: _Piece, right: _Piece, far_left: _Piece, far_right: _Piece) -> Array:
    """Slopes at samples of the monotone cubic pieces (Fritsch and Butland, 1984), with both pieces on either side."""
    at_ends = jnp.where(right.exists, _end_slope(right, far_right), _end_slope(left, far_left))
    product = left.secant * right.secant
    rising = product > 0
    a, b = (jnp.where(rising, piece.secant, 1) for piece in (left, right))
    total = 3 * (left.width + right.width)
    inside = total / ((2 * right.width + left.width) / a + (right.width + 2 * left.width) / b)
    return jnp.where(left.exists & right.exists, jnp.where(rising, inside, 0), at_ends)


def _end_slope(near: _Piece, far: _Piece) -> Array:
    """Of the parabola through three samples, kept from overshooting; the secant where there are two only."""
    slope = ((2 * near.width + far.width) * near.secant - near.width * far.secant) / (near.width + far.width)
    turns = (near.secant * far.secant < 0) & (jnp.abs(slope) > 3 * jnp.abs(near.secant))
    slope = jnp.where(turns, 3 * near.secant, slope)
    slope = jnp.where(slope * near.secant > 0, slope, 0)
    return jnp.where(far.exists, slope, near.secant)
