"""Phases: fast sines, NaN-free moduli and unit vectors, circular means, order parameters.

Phases are real numbers in radians that the dynamics never wrap; a complex field is a pair, its real and imaginary
parts. Every function has finite gradients where a modulus is zero; NaN in is NaN out.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from oscnets._inputs import at_least_float32, floats, standard_promotion

PyTree = Any

__all__ = ["angle", "circular_mean", "modulus", "order_parameter", "sincos", "unit", "wrap"]


def __dir__() -> list[str]:
    return __all__


# pi and 2 pi as numbers of few bits, so that small multiples of each part are exact (Cody and Waite).
_PI_PARTS = (3.140625, 9.67502593994140625e-4, 1.509957990978376432e-7)
_TWO_PI_PARTS = {32: tuple(2 * part for part in _PI_PARTS), 64: (6.28318530693650245667, 2.43084020260247689973e-10)}
# Up to here, in radians, the multiples are exact; 8,192 turns of pi in float32.
_REDUCIBLE = {32: 2.5e4, 64: 1e6}
# Minimax polynomials in x^2 on [-pi/2, pi/2]: sin x = x + x^3 S(x^2) to 5e-9, cos x = 1 + x^2 C(x^2) to 3e-10.
_SINE = (-1.66666571e-1, 8.33301750e-3, -1.98066265e-4, 2.60007304e-6)
_COSINE = (-4.99999995e-1, 4.16666407e-2, -1.38884036e-3, 2.47618912e-5, -2.60771673e-7)


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    value = jnp.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value = value * x + coefficient
    return value


def _elementwise(fn: Callable[[Array], PyTree]) -> Callable[[Array], PyTree]:
    """A function of each element whose batches are one larger array, so that a branch in it stays one branch."""
    fn = jax.custom_batching.custom_vmap(fn)

    @fn.def_vmap
    def _(axis_size: int, batched: list[bool], x: Array) -> tuple[PyTree, PyTree]:
        del axis_size, batched
        out = fn(x)
        return out, jax.tree.map(lambda _: True, out)

    return fn


def _near_sincos(phases: Array) -> tuple[Array, Array]:
    turns = jnp.round(phases * (1 / jnp.pi))
    rest = phases
    for part in _PI_PARTS:
        rest = rest - turns * part
    half = 0.5 * turns
    sign = 1 - 4 * jnp.abs(half - jnp.round(half))
    square = rest * rest
    sine = rest + rest * square * _polynomial(_SINE, square)
    cosine = 1 + square * _polynomial(_COSINE, square)
    return sign * sine, sign * cosine


def _library_sincos(phases: Array) -> tuple[Array, Array]:
    return jnp.sin(phases), jnp.cos(phases)


def _is_near(phases: Array) -> Array:
    return jnp.max(jnp.abs(phases), initial=0) <= _REDUCIBLE[jnp.finfo(phases.dtype).bits]


@partial(jax.jit, inline=True)
@_elementwise
def _sincos(phases: Array) -> tuple[Array, Array]:
    on_cpu = lambda x: jax.lax.cond(_is_near(x), _near_sincos, _library_sincos, x)  # noqa: E731
    return jax.lax.platform_dependent(phases, cpu=on_cpu, default=_library_sincos)


@jax.custom_jvp
@standard_promotion
def sincos(phases: Array) -> tuple[Array, Array]:
    """Sine and cosine of phases in radians, any shape and size, absolute error below 1e-6 in float32.

    On a CPU, float32 phases within 2.5e4 rad take a range reduction and two polynomials, several times faster than the
    library's functions, which everything else takes. NaN and infinity give NaN.
    """
    (phases,) = floats(phases=phases)
    return _sincos(phases) if phases.dtype == jnp.float32 else _library_sincos(phases)


@jax.custom_jvp
def bounded_sincos(phases: Array) -> tuple[Array, Array]:
    """`sincos` of phases that are known to lie within 2.5e4 rad, without the branch for those that do not.

    By polynomials on every device: on a GPU they fuse with what follows, and the library's functions do not.
    """
    if phases.dtype != jnp.float32:
        return _library_sincos(phases)
    return _near_sincos(phases)


def _sincos_jvp(fn: Callable, primals: tuple[Array], tangents: tuple[Array]) -> tuple[PyTree, PyTree]:
    (phases,), (change,) = primals, tangents
    sine, cosine = fn(phases)
    return (sine, cosine), (cosine * change, -sine * change)


for _fn in (sincos, bounded_sincos):
    _fn.defjvp(standard_promotion(partial(_sincos_jvp, _fn)))


@standard_promotion
def modulus(real: Array, imag: Array) -> Array:
    """|real + i imag|, elementwise; value and gradient are 0 where the square is 0 or underflows. NaN stays NaN.

    Half precision is computed in float32, here and in `unit` and `angle`. In float32 squares of numbers below 1e-19
    underflow, and those of numbers above 1e19 overflow.
    """
    dtype, real, imag = _parts(real, imag)
    return _modulus(real, imag).astype(dtype)


def _parts(real: Array, imag: Array) -> tuple[Any, Array, Array]:
    """The type of a result, and both parts in float32 at least."""
    real, imag = floats(real=real, imag=imag)
    wide = at_least_float32(real.dtype)
    return real.dtype, real.astype(wide), imag.astype(wide)


def _modulus(real: Array, imag: Array) -> Array:
    square = real * real + imag * imag
    zero = square < jnp.finfo(square.dtype).tiny
    return jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, square)))


@standard_promotion
def unit(real: Array, imag: Array) -> tuple[Array, Array]:
    """The unit vector (cos, sin) of the angle of real + i imag, elementwise; (0, 0) with zero gradient at the origin.

    Layers use phases in this form, so that no arctangent is taken inside a network. NaN stays NaN.
    """
    dtype, real, imag = _parts(real, imag)
    size = _modulus(real, imag)
    zero = size == 0
    safe = jnp.where(zero, 1, size)
    return jnp.where(zero, 0, real / safe).astype(dtype), jnp.where(zero, 0, imag / safe).astype(dtype)


def powers(real: Array, imag: Array, count: int) -> list[tuple[Array, Array]]:
    """(cos, sin) of m times an angle for m = 1 ... count, from those of the angle, by multiplication."""
    out = [(real, imag)] if count else []
    for _ in range(count - 1):
        last_real, last_imag = out[-1]
        out.append((last_real * real - last_imag * imag, last_real * imag + last_imag * real))
    return out


@standard_promotion
def angle(real: Array, imag: Array) -> Array:
    """Angle of real + i imag in radians in [-pi, pi]; 0 with zero gradient at the origin. NaN stays NaN."""
    dtype, real, imag = _parts(real, imag)
    origin = _modulus(real, imag) == 0
    return jnp.where(origin, 0, jnp.arctan2(imag, jnp.where(origin, 1, real))).astype(dtype)


def _turns(phases: Array) -> Array:
    return jnp.round(phases * (1 / (2 * jnp.pi)))


def bounded_wrap(phases: Array) -> tuple[Array, Array]:
    """Phases within [-pi, pi] of phases that lie within 2.5e4 rad, and the full turns that were taken off.

    The turns have no gradient.
    """
    dtype = phases.dtype
    phases = phases.astype(at_least_float32(dtype))
    turns = jax.lax.stop_gradient(_turns(phases))
    for part in _TWO_PI_PARTS[jnp.finfo(phases.dtype).bits]:
        phases = phases - turns * part
    return phases.astype(dtype), turns.astype(dtype)


@partial(jax.jit, inline=True)
@_elementwise
def _wrap(phases: Array) -> Array:
    far = lambda x: jnp.arctan2(jnp.sin(x), jnp.cos(x))  # noqa: E731
    return jax.lax.cond(_is_near(phases), lambda x: bounded_wrap(x)[0], far, phases)


@jax.custom_jvp
@standard_promotion
def wrap(phases: Array) -> Array:
    """The same phases within [-pi, pi], whatever their size; error below 1e-6 rad in float32. Its derivative is 1."""
    (phases,) = floats(phases=phases)
    wrapped = _wrap(phases.astype(at_least_float32(phases.dtype)))
    largest = np.nextafter(wrapped.dtype.type(np.pi), 0)  # float32 rounds pi up
    return jnp.clip(wrapped, -largest, largest).astype(phases.dtype)


@wrap.defjvp
def _wrap_jvp(primals, tangents):
    return wrap(*primals), tangents[0]


@standard_promotion
def order_parameter(phases: Array, weights: Array | None = None, axis: int | tuple[int, ...] = -1) -> Array:
    """Kuramoto's order parameter, the weighted mean of e^{i phase} over `axis`.

    Args:
        phases: radians, any shape. Half precision is computed in float32.
        weights: >= 0, broadcastable to `phases`; None is equal weights. Phases of weight 0 have no influence, NaN and
            infinite ones included.
        axis: the oscillators' axis or axes.

    Returns:
        Complex array without `axis`: the modulus is the synchrony in [0, 1], the angle the mean phase. 0 where the
        weights sum to 0, with zero gradient; NaN where a phase of another weight than 0 is.
    """
    if weights is None:
        (phases,) = floats(phases=phases)
        weights = jnp.ones_like(phases)
    else:
        phases, weights = floats(phases=phases, weights=weights)
        weights = jnp.broadcast_to(weights, phases.shape)
        phases = jnp.where((weights == 0) & ~jnp.isfinite(phases), 0, phases)
    phases, weights = (x.astype(at_least_float32(x.dtype)) for x in (phases, weights))
    sine, cosine = sincos(phases)
    total = weights.sum(axis)
    total = jnp.where(total == 0, 1, total)
    return _within_one((weights * cosine).sum(axis) / total, (weights * sine).sum(axis) / total)


def _within_one(real: Array, imag: Array) -> Array:
    """real + i imag, without the rounding by which the modulus of a mean of unit vectors exceeds 1."""
    size = jnp.hypot(*jax.lax.stop_gradient((real, imag)))
    largest = 1 - jnp.finfo(size.dtype).eps
    scale = jnp.where(size > largest, largest / jnp.where(size > largest, size, 1), 1)
    return jax.lax.complex(real * scale, imag * scale)


def circular_mean(phases: Array, weights: Array | None = None, axis: int | tuple[int, ...] = -1) -> Array:
    """Angle of `order_parameter`, radians in (-pi, pi]; 0 where it is undefined. Half precision gives float32."""
    mean = order_parameter(phases, weights, axis)
    return angle(mean.real, mean.imag)
