"""The neighbourhood sum by products with constant matrices, the method `transform` of `oscnets.dynamics.coupling`."""

import math
from collections.abc import Callable
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
    signs: bool = False  # whether, by both axes, a pair of frequencies has two complex products, not one of four parts


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
    periods, (height, width) = periods_of(plan), plan.kernel
    of_h = jnp.asarray(_rotations(height, periods[0]), kernel.dtype)
    product = jnp.einsum("uabx,xyio->uabyio", of_h, kernel, precision=precision())
    # Coupling of all units to all is a coupling of the mean: frequency zero, the cosines alone.
    if plan.axes == 1:
        product = jnp.einsum("yvw,uabyio->uavobwi", _shifts(plan.image[1], width), product, precision=precision())
        product = product.at[0, 0, :, :, 0, :, :].add(uniform * periods[0])
        return product.reshape(len(product), math.prod(product.shape[1:4]), -1)
    if plan.signs:
        waves = jnp.asarray(_waves(plan), kernel.dtype)
        product = jnp.einsum("uvspxy,xyio->uvspoi", waves, kernel, precision=precision())
        product = product.at[0, 0, :, 0].add(uniform * periods[0] * periods[1])
        return product.reshape(math.prod(product.shape[:3]), -1, kernel.shape[2])
    of_w = jnp.asarray(_rotations(width, periods[1]), kernel.dtype)
    product = jnp.einsum("vcdy,uabyio->uvcaodbi", of_w, product, precision=precision())
    product = product.at[0, 0, 0, 0, :, 0, 0, :].add(uniform * periods[0] * periods[1])
    frequencies = product.shape[0] * product.shape[1]
    return product.reshape(frequencies, 4 * kernel.shape[3], 4 * kernel.shape[2])


@lru_cache(maxsize=64)
def _waves(plan: Plan) -> np.ndarray:
    """(F_h, F_w, 2, 2, kh, kw): exp i (u y + v x) and exp i (u y - v x), real and imaginary part, at each tap."""
    rows, columns = (
        np.exp(2j * np.pi / period * np.outer(np.arange((period + 1) // 2), np.arange(size) - size // 2))
        for period, size in zip(periods_of(plan), plan.kernel, strict=True)
    )
    both = np.stack([np.einsum("ux,vy->uvxy", rows, side) for side in (columns, columns.conj())], 2)
    return np.stack([both.real, both.imag], 3)


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


def _to_signs(pairs: Array) -> Array:
    """(F, 4 C, B) of `_to_pairs` -> the complex spectrum at (u, v) and (u, -v), (2 F, C, real B and imaginary B)."""
    cc, sc, cs, ss = jnp.moveaxis(pairs.reshape(len(pairs), 4, -1, pairs.shape[-1]), 1, 0)  # of height, then width
    spectrum = jnp.stack([cc - ss, -sc - cs, cc + ss, cs - sc], 1)  # (F, sign and part, C, B)
    spectrum = spectrum.reshape(2 * len(pairs), 2, *spectrum.shape[2:])
    return jnp.moveaxis(spectrum, 1, 2).reshape(len(spectrum), -1, 2 * pairs.shape[-1])


def _from_signs(products: Array) -> Array:
    """(2 F, 2 C, 2 B), parts of the kernel by parts of the spectrum -> (F, 4 C, B) for `_from_pairs`."""
    frequencies, batch = len(products) // 2, products.shape[2] // 2
    parts = products.reshape(frequencies, 2, 2, -1, 2, batch)
    real = parts[:, :, 0, :, 0] - parts[:, :, 1, :, 1]  # (F, sign, C, B)
    imaginary = parts[:, :, 0, :, 1] + parts[:, :, 1, :, 0]
    (plus, minus), (plus_i, minus_i) = (jnp.moveaxis(x / 2, 1, 0) for x in (real, imaginary))
    rows = jnp.stack([plus + minus, -plus_i - minus_i, minus_i - plus_i, minus - plus], 1)
    return rows.reshape(frequencies, -1, batch)


def _transposed(fn: Callable[[Array], Array], shape: tuple[int, ...], ct: Array) -> Array:
    return jax.linear_transpose(fn, jax.ShapeDtypeStruct(shape, ct.dtype))(ct)[0]


def _bases(plan: Plan) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """Analysis and synthesis of every axis that is transformed."""
    pairs = [_basis(n, period) for n, period in zip(plan.image, periods_of(plan), strict=True)][: plan.axes]
    return tuple(analysis for analysis, _ in pairs), tuple(synthesis for _, synthesis in pairs)


def _analysed(plan: Plan, field: Array) -> Array:
    """The field in frequency, as the weights take it."""
    pairs = _to_pairs(field, *_bases(plan)[0])
    return _to_signs(pairs) if plan.signs else pairs


def _synthesized(plan: Plan, mixed: Array) -> Array:
    """The field of what the weights gave."""
    return _from_pairs(_from_signs(mixed) if plan.signs else mixed, plan.image[1], *_bases(plan)[1])


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
    if plan.signs:
        shape = (len(spectrum), transposed.shape[2], spectrum.shape[2])
        ct_mixed = _transposed(_from_signs, shape, ct_mixed)
    ct_weights = lax.dot_general(ct_mixed, spectrum, (((2,), (2,)), ((0,), (0,))), precision=precision())
    ct_pairs = _mix(transposed, ct_mixed)
    if plan.signs:
        shape = (len(spectrum) // 2, 4 * spectrum.shape[1], spectrum.shape[2] // 2)
        ct_pairs = _transposed(_to_signs, shape, ct_pairs)
    return _from_pairs(ct_pairs, plan.image[1], *(matrix.T for matrix in analysis)), ct_weights


_TANGENT = Linear(_tangent, _tangent_transpose)
