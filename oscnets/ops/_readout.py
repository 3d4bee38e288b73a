"""Readouts of a time series of states: one vector of features per pixel (Jacobs et al., 2025).

    last    the state after the last step          mean, max   over time
    fft     modulus of the discrete Fourier transform over time, T/2 + 1 bins per channel
    linear  a learned map from T steps to T/2 + 1 bins, without bias, the same for all channels

Features are ordered bin by bin, and channel by channel within a bin.
"""

import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Literal, NamedTuple, get_args

import jax.numpy as jnp
import numpy as np
from jax import Array

from oscnets._inputs import at_least_float32, float_type, floats, largest, precision, standard_promotion, whole_number
from oscnets._sharding import batch_sharded
from oscnets.phase import modulus

How = Literal["last", "mean", "max", "fft", "linear"]


def num_bins(how: How, length: int) -> int:
    """Features per channel of a readout from `length` steps: length // 2 + 1 for fft and linear, else 1.

    Raises:
        ValueError: an unknown readout, or a length that is not whole or below 1.
    """
    if how not in get_args(How):
        raise ValueError(f"readout must be one of {', '.join(get_args(How))}, got {how!r}")
    if (length := whole_number("length", length)) < 1:
        raise ValueError(f"a readout needs at least 1 step, got {length}")
    return length // 2 + 1 if how in ("fft", "linear") else 1


@standard_promotion
def readout(states: Array, how: How, axis: int = 0, *, kernel: Array | None = None) -> Array:
    """Features of every pixel's time series.

    Args:
        states: (T, ..., C), or with time at another axis than the last. Spectra of half precision are computed in
            float32.
        how: last, mean, max, fft or linear, see above.
        axis: of time.
        kernel: (T, bins), for linear and for nothing else.

    Returns:
        (..., bins * C), bin-major; bins = 1 for last, mean and max. Gradients are finite, and 0 for a Fourier
        coefficient that is 0; equal maxima share theirs. NaN where a state that counts is NaN.

    Raises:
        ValueError: an unknown readout, no axis for both time and channels, a kernel that is missing, unwanted or of
            another length.
    """
    (states,) = floats(states=states)
    kernel = None if kernel is None else floats(kernel=kernel)[0]
    if states.ndim < 2 or not -states.ndim <= axis < states.ndim or axis % states.ndim == states.ndim - 1:
        raise ValueError(f"states must be (..., C) with time at another axis, got {states.shape} and axis {axis}")
    return _readout(jnp.moveaxis(states, axis, -2), how, kernel)


@batch_sharded("states", core=2)
def _readout(states: Array, how: How, kernel: Array | None) -> Array:
    """(..., T, C) -> (..., bins * C)."""
    states = jnp.moveaxis(states, (-2, -1), (0, 1))
    return jnp.moveaxis(readout_tchwb(states, how, kernel), 0, -1)


@standard_promotion
def readout_tchwb(states: Array, how: How, kernel: Array | None = None) -> Array:
    """`readout` in the layout (T, C, H, W, B), or with other axes after C: (T, C, ...) -> (bins * C, ...)."""
    (states,) = floats(states=states)
    length, channels, *pixels = states.shape
    check_kernel(how, length, kernel)
    if how == "last":
        return states[-1]
    if how == "mean":
        return states.mean(0)
    if how == "max":
        return largest(states, 0)
    if how == "linear":
        series, kernel = floats(states=states.reshape(length, math.prod((channels, *pixels))), kernel=kernel)
        bins = jnp.matmul(kernel.T, series, precision=precision())
    else:
        # The transform as one product: no transposition of time to the end, and its gradient is a product too.
        series = states.reshape(length, math.prod((channels, *pixels))).astype(at_least_float32(states.dtype))
        fourier = jnp.asarray(_fourier(length), series.dtype)
        real, imag = jnp.split(jnp.matmul(fourier, series, precision=precision()), 2)
        bins = modulus(real, imag).astype(states.dtype)
    return bins.reshape(bins.shape[0] * channels, *pixels)


@lru_cache(maxsize=16)
def _fourier(length: int) -> np.ndarray:
    """(2 bins, T): cosines of all bins, then sines; the angle is reduced first, so that float64 keeps its digits."""
    turns = np.outer(np.arange(length // 2 + 1), np.arange(length)) % length / length
    return np.concatenate([np.cos(2 * np.pi * turns), -np.sin(2 * np.pi * turns)])


def check_kernel(how: How, length: int, kernel: Array | None) -> None:
    """Raise ValueError unless the kernel is one that a readout from `length` steps takes."""
    bins = num_bins(how, length)
    if (kernel is not None) != (how == "linear"):
        raise ValueError(f"readout {how!r} {'needs a' if kernel is None else 'takes no'} kernel")
    shape = (length, bins) if kernel is None else jnp.shape(kernel)
    if len(shape) != 2 or shape[0] != length:
        raise ValueError(f"kernel must be (T, bins) = ({length}, {bins}) for {length} steps, got {shape}")


class Streaming(NamedTuple):
    """A readout as a streaming reduction over time, for `oscnets.dynamics.unroll(..., reduce=)`: it stores no states.

    Attributes:
        weights: the time kernel (T, bins) of a linear readout, else None.
        start: (a state) -> accumulator; only the state's shape and type are used.
        add: (weights, accumulator, state, t) -> accumulator.
        finish: (accumulator) -> features.
        contribution: (weights, last accumulator, state, t) -> what step t adds to the features.
    """

    weights: Array | None
    start: Callable[[Array], Any]
    add: Callable[[Array | None, Any, Array, Array], Any]
    finish: Callable[[Any], Array]
    contribution: Callable[[Array | None, Any, Array, Array], Array]


def streaming_readout(how: How, length: int, *, kernel: Array | None = None) -> Streaming:
    """The readout as a streaming reduction: states (C, ...) one after another, features (bins * C, ...).

    Args:
        how: last, mean, max or linear. The Fourier transform would need two numbers per bin, as many as there are
            states. Of equal maxima the first takes the gradient.
        length: T.
        kernel: (T, bins), of the states' type, for linear and for nothing else.

    Raises:
        ValueError: fft, an unknown readout, a kernel that is missing, unwanted or of another length.
    """
    length = whole_number("length", length)
    check_kernel(how, length, kernel)
    if how == "fft":
        raise ValueError("the fft of a time series cannot be streamed in less memory than its states need")
    bins = num_bins(how, length) if kernel is None else jnp.shape(kernel)[1]
    kernel = jnp.asarray(kernel) if isinstance(kernel, list | tuple) else kernel
    return Streaming(kernel, *_streaming_functions(how, length, bins))


@lru_cache(maxsize=64)
def _streaming_functions(how: How, length: int, bins: int) -> tuple[Callable, ...]:
    """Those of a `Streaming`: the same objects for the same arguments, so that JAX finds again what it compiled."""
    if how == "max":
        return _max_start, _max_add, _max_finish, _max_contribution
    share = {"last": partial(_last, length), "mean": partial(_mean, length), "linear": _linear}[how]
    return (
        partial(_sum_start, bins),
        lambda kernel, acc, state, t: acc + share(kernel, state, t),
        lambda acc: acc,
        lambda kernel, _, state, t: share(kernel, state, t),
    )


def _sum_start(bins: int, state: Array) -> Array:
    return jnp.zeros((bins * state.shape[0], *state.shape[1:]), float_type(state))


def _last(length: int, _: None, state: Array, t: Array) -> Array:
    return jnp.where(t == length - 1, state, 0)


def _mean(length: int, _: None, state: Array, t: Array) -> Array:
    return state / length


def _linear(kernel: Array, state: Array, t: Array) -> Array:
    weights = jnp.asarray(kernel)[t].reshape(-1, *[1] * state.ndim)
    return (weights * state[None]).reshape(weights.size * state.shape[0], *state.shape[1:])


def _max_start(state: Array) -> tuple[Array, Array]:
    return jnp.full(state.shape, -jnp.inf, float_type(state)), jnp.zeros(state.shape, jnp.int32)


def _max_add(_: None, acc: tuple[Array, Array], state: Array, t: Array) -> tuple[Array, Array]:
    so_far, when = acc
    larger = (state > so_far) | jnp.isnan(state)  # and nothing is larger than NaN
    return jnp.where(larger, state, so_far), jnp.where(larger, t, when)


def _max_finish(acc: tuple[Array, Array]) -> Array:
    return acc[0]


def _max_contribution(_: None, acc: tuple[Array, Array], state: Array, t: Array) -> Array:
    return jnp.where(acc[1] == t, state, 0)
