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
    of_w = jnp.asarray(_rotations(width, periods[1]), kernel.dtype)
    product = jnp.einsum("vcdy,uabyio->uvcaodbi", of_w, product, precision=precision())
    product = product.at[0, 0, 0, 0, :, 0, 0, :].add(uniform * periods[0] * periods[1])
    frequencies = product.shape[0] * product.shape[1]
    return product.reshape(frequencies, 4 * kernel.shape[3], 4 * kernel.shape[2])


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


def _bases(plan: Plan) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """Analysis and synthesis of every axis that is transformed."""
    pairs = [_basis(n, period) for n, period in zip(plan.image, periods_of(plan), strict=True)][: plan.axes]
    return tuple(analysis for analysis, _ in pairs), tuple(synthesis for _, synthesis in pairs)


def _apply(plan: Plan, field: Array, weights: Array) -> tuple[Array, Array]:
    """The sum, and the field in frequency."""
    analysis, synthesis = _bases(plan)
    pairs = _to_pairs(field, *analysis)
    return _from_pairs(_mix(weights, pairs), plan.image[1], *synthesis), pairs


def _mix(weights: Array, pairs: Array) -> Array:
    return lax.dot_general(weights, pairs, (((2,), (1,)), ((0,), (0,))), precision=precision())


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def transformed_sum(plan: Plan, field: Array, weights: Array, transposed: Array) -> Array:
    """`transposed` is `weights` with its axes swapped, for the transpose of this map alone."""
    return _apply(plan, field, weights)[0]


@partial(transformed_sum.defjvp, symbolic_zeros=True)
@standard_promotion
def transformed_sum_jvp(plan, primals, tangents):
    field, weights, transposed = primals
    out, pairs = _apply(plan, field, weights)
    return out, linear_map(_TANGENT, plan, (weights, transposed, pairs), tangents[:2])


def _tangent(plan, residuals, tangents):
    (weights, _, pairs), (d_field, d_weights) = residuals, tangents
    analysis, synthesis = _bases(plan)
    parts = [] if d_field is None else [_mix(weights, _to_pairs(d_field, *analysis))]
    parts += [] if d_weights is None else [_mix(d_weights, pairs)]
    return _from_pairs(sum(parts), plan.image[1], *synthesis)


def _tangent_transpose(plan, residuals, ct_out):
    """Transposes of the same products in the same order of axes; automatic differentiation would not keep it."""
    _, transposed, pairs = residuals
    analysis, synthesis = _bases(plan)
    ct_mixed = _to_pairs(ct_out, *(matrix.T for matrix in synthesis))
    ct_weights = lax.dot_general(ct_mixed, pairs, (((2,), (2,)), ((0,), (0,))), precision=precision())
    ct_field = _from_pairs(_mix(transposed, ct_mixed), plan.image[1], *(matrix.T for matrix in analysis))
    return ct_field, ct_weights


_TANGENT = Linear(_tangent, _tangent_transpose)
