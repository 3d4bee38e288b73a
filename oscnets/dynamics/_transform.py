"""The neighbourhood sum by products with constant matrices, the method `transform` of `oscnets.dynamics.coupling`."""

import math
from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jax import Array, lax

from oscnets._inputs import precision, standard_promotion
from oscnets._platform import cpu_barrier
from oscnets._products.linear import Linear, linear_map


class Plan(NamedTuple):
    """Static part of a prepared kernel; hashable, so that it can be pytree metadata."""

    method: str
    image: tuple[int, int]
    kernel: tuple[int, int]
    channels: int  # of the field
    axes: int  # that `transform` transforms: 2, or 1, the height
    by_complex: bool = False  # whether a pair of frequencies, of two axes, has two complex products


def periods_of(plan: Plan) -> tuple[int, int]:
    """Shortest odd periods at which a kernel's wrapped values stay outside the image."""
    return tuple((n + k // 2) | 1 for n, k in zip(plan.image, plan.kernel, strict=True))


@lru_cache(maxsize=64)
def _basis(n: int, period: int) -> tuple[np.ndarray, np.ndarray]:
    """Analysis (2F, n), a (cos, sin) pair of rows per frequency, and synthesis (n, 2F); F = (period + 1) / 2."""
    angles = 2 * np.pi / period * np.outer(np.arange((period + 1) // 2), np.arange(n))
    analysis = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    weight = np.full(len(angles), 2 / period)
    weight[0] = 1 / period
    synthesis = analysis * weight[:, None, None]
    return analysis.reshape(-1, n), synthesis.reshape(-1, n).T.copy()


@lru_cache(maxsize=64)
def _rotations(size: int, period: int) -> np.ndarray:
    """(F, 2, 2, size): rotation of a frequency's (cos, sin) pair by a shift of d - radius: row out, column in."""
    shifts = np.arange(size) - size // 2
    angles = 2 * np.pi / period * np.outer(np.arange((period + 1) // 2), shifts)
    cosine, sine = np.cos(angles), np.sin(angles)
    return np.stack([np.stack([cosine, sine], 1), np.stack([-sine, cosine], 1)], 1)


def kernel_to_frequency(kernel: Array, uniform: Array, plan: Plan) -> Array:
    """(kh, kw, C_in, C_out) -> matrices, by frequency, from the rows of `_to_pairs` to those of the sum."""
    if plan.by_complex:
        return _to_spectrum(kernel, uniform, plan)
    periods, (height, width) = periods_of(plan), plan.kernel
    of_h = jnp.asarray(_rotations(height, periods[0]), kernel.dtype)
    product = jnp.einsum("uabx,xyio->uabyio", of_h, kernel, precision=precision())
    # Coupling of all units to all is a coupling of the mean: frequency zero, the cosines alone.
    if plan.axes == 1:
        product = jnp.einsum("yvw,uabyio->uavobwi", _shifts(plan.image[1], width), product, precision=precision())
        product = product.at[0, 0, :, :, 0, :, :].add(uniform * periods[0])
        return product.reshape(len(product), math.prod(product.shape[1:4]), -1)
    of_w = jnp.asarray(_rotations(width, periods[1]), kernel.dtype)
    product = jnp.einsum("vcdy,uabyio->uvcaodbi", of_w, product, precision=precision())
    product = product.at[0, 0, 0, 0, :, 0, 0, :].add(uniform * periods[0] * periods[1])
    frequencies = product.shape[0] * product.shape[1]
    return product.reshape(frequencies, 4 * kernel.shape[3], 4 * kernel.shape[2])


def _to_spectrum(kernel: Array, uniform: Array, plan: Plan) -> Array:
    """(kh, kw, C_in, C_out) -> (2 F, real and imaginary C_out, C_in): sum of kernel exp i (u y + v x), (u y - v x)."""
    periods = periods_of(plan)
    # Cosine and sine at each tap: the first row of a rotation.
    of_h, of_w = (
        jnp.asarray(_rotations(size, period)[:, 0], kernel.dtype)
        for size, period in zip(plan.kernel, periods, strict=True)
    )
    rows = jnp.einsum("uax,xyio->uayoi", of_h, kernel, precision=precision())
    parts = jnp.einsum("vby,uayoi->uvaboi", of_w, rows, precision=precision())
    (cc, cs), (sc, ss) = (jnp.moveaxis(part, 2, 0) for part in jnp.moveaxis(parts, 2, 0))
    spectrum = jnp.stack([jnp.stack([cc - ss, sc + cs], 2), jnp.stack([cc + ss, sc - cs], 2)], 2)
    # Coupling of all units to all: see `kernel_to_frequency`.
    spectrum = spectrum.at[0, 0, :, 0].add(uniform * periods[0] * periods[1])
    return spectrum.reshape(-1, 2 * kernel.shape[3], kernel.shape[2])


def _shifts(image: int, kernel: int) -> np.ndarray:
    """(kernel, image, image): 1 to every pixel from that, in the last axis, at each place of a kernel around it."""
    return np.stack([np.eye(image, k=place - kernel // 2, dtype=np.float32) for place in range(kernel)])


def rowwise(matrix: Array, x: Array) -> Array:
    """matrix (p, n) times every x[i] (n, m), for x (i, n, m): a batched product leaves i in front, untransposed."""
    matrix = jnp.broadcast_to(matrix, (x.shape[0], *matrix.shape))
    return lax.dot_general(matrix, x, (((2,), (1,)), ((0,), (0,))), precision=precision())


def _to_pairs(x: Array, of_h: np.ndarray, of_w: np.ndarray | None = None) -> Array:
    """(H, W, C, B) -> (F, rows, B) by the rows of of_h (2 F_h, H) and of_w (2 F_w, W).

    The F = F_h F_w products are over 4 C rows (w pair, h pair, channel); without of_w, F = F_h and there are 2 W C rows
    (h pair, column, channel).
    """
    height, width, channels, batch = x.shape
    x = jnp.matmul(jnp.asarray(of_h, x.dtype), x.reshape(height, width * channels * batch), precision=precision())
    if of_w is None:
        return x.reshape(len(of_h) // 2, 2 * width * channels, batch)
    # The one transposition, of whole rows; kept apart from the products, which would otherwise run on strided operands.
    x = cpu_barrier(rearrange(x, "(f pair) (w cb) -> f w (pair cb)", pair=2, w=width))
    x = rowwise(jnp.asarray(of_w, x.dtype), x)
    return x.reshape(len(of_h) * len(of_w) // 4, 4 * channels, batch)


def _from_pairs(x: Array, width: int, of_h: np.ndarray, of_w: np.ndarray | None = None) -> Array:
    """(F, rows, B) of `_to_pairs` -> (H, W, C, B) by of_h (H, 2 F_h) and of_w (W, 2 F_w)."""
    batch, frequencies = x.shape[2], of_h.shape[1] // 2
    channels = x.shape[1] // (4 if of_w is not None else 2 * width)
    if of_w is not None:
        x = rowwise(jnp.asarray(of_w, x.dtype), x.reshape(frequencies, of_w.shape[1], -1))
        x = cpu_barrier(rearrange(x, "f w (pair cb) -> (f pair) (w cb)", pair=2))
    x = jnp.matmul(jnp.asarray(of_h, x.dtype), x.reshape(2 * frequencies, -1), precision=precision())
    return x.reshape(len(of_h), width, channels, batch)


def _to_complex(pairs: Array) -> Array:
    """(F, 4 C, B) of `_to_pairs` -> the spectrum at (u, v) and (u, -v), (2 F, C, real B and imaginary B)."""
    cc, sc, cs, ss = jnp.split(pairs, 4, axis=1)  # cosine and sine of height, then of width
    parts = jnp.stack([jnp.stack([cc - ss, -sc - cs], 2), jnp.stack([cc + ss, cs - sc], 2)], 1)
    return parts.reshape(2 * len(parts), parts.shape[2], 2 * parts.shape[4])


def _from_complex(products: Array) -> Array:
    """(2 F, 2 C, 2 B), parts of the kernel by parts of the spectrum -> (F, 4 C, B) for `_from_pairs`."""
    parts = products.reshape(len(products), 2, products.shape[1] // 2, 2, products.shape[2] // 2)
    real = parts[:, 0, :, 0] - parts[:, 1, :, 1]
    imaginary = parts[:, 0, :, 1] + parts[:, 1, :, 0]
    return 0.5 * _from_columns(real, imaginary)


def _to_complex_transpose(ct: Array) -> Array:
    """(2 F, C, 2 B) -> (F, 4 C, B)."""
    parts = ct.reshape(*ct.shape[:2], 2, ct.shape[2] // 2)
    return _from_columns(parts[:, :, 0], parts[:, :, 1])


def _from_complex_transpose(ct: Array) -> Array:
    """(F, 4 C, B) -> (2 F, 2 C, 2 B)."""
    parts = 0.5 * _to_complex(ct)
    real, imaginary = jnp.split(parts, 2, axis=2)
    return jnp.concatenate([parts, jnp.concatenate([imaginary, -real], 2)], 1)


def _from_columns(real: Array, imaginary: Array) -> Array:
    """Both (2 F, C, B) -> the rows (F, 4 C, B), times 2, whose spectrum they are."""
    split = lambda x: x.reshape(len(x) // 2, 2, *x.shape[1:])  # noqa: E731
    (plus, minus), (plus_i, minus_i) = (jnp.moveaxis(split(x), 1, 0) for x in (real, imaginary))
    return jnp.concatenate([plus + minus, -plus_i - minus_i, minus_i - plus_i, minus - plus], 1)


def _bases(plan: Plan) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """Analysis and synthesis of every axis that is transformed."""
    pairs = [_basis(n, period) for n, period in zip(plan.image, periods_of(plan), strict=True)][: plan.axes]
    return tuple(analysis for analysis, _ in pairs), tuple(synthesis for _, synthesis in pairs)


def _analysed(plan: Plan, field: Array) -> Array:
    """The field in frequency, as the weights take it."""
    pairs = _to_pairs(field, *_bases(plan)[0])
    return _to_complex(pairs) if plan.by_complex else pairs


def _synthesized(plan: Plan, mixed: Array) -> Array:
    """The field of what the weights gave."""
    return _from_pairs(_from_complex(mixed) if plan.by_complex else mixed, plan.image[1], *_bases(plan)[1])


def _mix(weights: Array, pairs: Array) -> Array:
    return lax.dot_general(weights, pairs, (((2,), (1,)), ((0,), (0,))), precision=precision())


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def transformed_sum(plan: Plan, field: Array, weights: Array, transposed: Array) -> Array:
    """`transposed` is `weights` with its axes swapped, for the transpose of this map alone."""
    return _synthesized(plan, _mix(weights, _analysed(plan, field)))


@partial(transformed_sum.defjvp, symbolic_zeros=True)
@standard_promotion
def transformed_sum_jvp(plan, primals, tangents):
    field, weights, transposed = primals
    spectrum = _analysed(plan, field)
    out = _synthesized(plan, _mix(weights, spectrum))
    return out, linear_map(_TANGENT, plan, (weights, transposed, spectrum), tangents[:2])


def _tangent(plan, residuals, tangents):
    (weights, _, spectrum), (d_field, d_weights) = residuals, tangents
    parts = [] if d_field is None else [_mix(weights, _analysed(plan, d_field))]
    parts += [] if d_weights is None else [_mix(d_weights, spectrum)]
    return _synthesized(plan, sum(parts))


def _tangent_transpose(plan, residuals, ct_out):
    """Transposes of the same products in the same order of axes; automatic differentiation would not keep it."""
    _, transposed, spectrum = residuals
    analysis, synthesis = _bases(plan)
    ct_mixed = _to_pairs(ct_out, *(matrix.T for matrix in synthesis))
    if plan.by_complex:
        ct_mixed = _from_complex_transpose(ct_mixed)
    ct_weights = lax.dot_general(ct_mixed, spectrum, (((2,), (2,)), ((0,), (0,))), precision=precision())
    ct_pairs = _mix(transposed, ct_mixed)
    if plan.by_complex:
        ct_pairs = _to_complex_transpose(ct_pairs)
    return _from_pairs(ct_pairs, plan.image[1], *(matrix.T for matrix in analysis)), ct_weights


_TANGENT = Linear(_tangent, _tangent_transpose)
