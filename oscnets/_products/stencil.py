"""Small kernels over neighbouring pixels, as products: the local sums of waves, of their encoders and of CNNs.

    out[o, y] = sum_{d, i} kernel[d, i, o] field[i, y + d - radius]

a cross-correlation of the same size. Beyond the image is 0 (`clamped`) or its other side (`periodic`). The layout is
`chwb`, (C, H, W, B): a product over channels then is one matrix product of all pixels, and neighbours lie whole rows of
the batch apart.
"""

import math
from functools import partial
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jax import Array, lax

from oscnets._inputs import precision
from oscnets._platform import on_tpu
from oscnets._products.linear import bilinear

Boundary = Literal["clamped", "periodic"]
Taps = tuple[int, int]  # along rows and columns


def check_boundary(boundary: str) -> None:
    """Raise ValueError unless it is a `Boundary`."""
    if boundary not in get_args(Boundary):
        raise ValueError(f"boundary must be one of {', '.join(get_args(Boundary))}, got {boundary!r}")


def stencil_sum(field: Array, kernel: Array, *, boundary: Boundary) -> Array:
    """Apply a small kernel.

    Args:
        field: (C_in, H, W, B).
        kernel: (kh, kw, C_in, C_out), odd sizes.
        boundary: values beyond the image.

    Returns:
        (C_out, H, W, B).

    Raises:
        ValueError: ranks or channels that do not fit, a kernel of even size or one that reaches around the whole image,
            an unknown boundary.
    """
    check_boundary(boundary)
    if field.ndim != 4:
        raise ValueError(f"field must be (C_in, H, W, B), got shape {field.shape}")
    if kernel.ndim != 4 or kernel.shape[2] != field.shape[0]:
        raise ValueError(f"kernel must be (kh, kw, {field.shape[0]}, C_out) for {field.shape}, got {kernel.shape}")
    if kernel.shape[0] % 2 == 0 or kernel.shape[1] % 2 == 0:
        raise ValueError(f"kernel must have odd height and width, got {kernel.shape[0]} x {kernel.shape[1]}")
    if any(k // 2 > n for k, n in zip(kernel.shape, field.shape[1:3], strict=False)):
        raise ValueError(f"kernel of {kernel.shape[:2]} reaches around an image of {field.shape[1:3]}")
    return _sum(boundary, field, kernel)


def _product(boundary: Boundary, field: Array, kernel: Array) -> Array:
    """Neighbours along some axes are gathered, one product multiplies them, its results are shifted and added.

    A fused sum over single taps took a tenth to a half more CPU time in the gradient of a run of oscillators of two
    channels, and was left out.
    """
    if on_tpu():
        return _convolution(boundary, field, kernel)
    gathered, scattered = _split(kernel.shape)
    matrix, pixels = _matrix(kernel), field.shape[1:]
    neighbours = _gather(field, gathered, boundary).reshape(matrix.shape[1], math.prod(pixels))
    products = jnp.matmul(matrix, neighbours, precision=precision())
    return _scatter(products.reshape(len(matrix), *pixels), scattered, boundary)


def _convolution(boundary: Boundary, field: Array, kernel: Array) -> Array:
    """The same by XLA's convolution: on a TPU products of shifted images take many times longer to compile."""
    for axis in (1, 2):
        field = _extend(field, kernel.shape[axis - 1] // 2, axis, boundary)
    numbers = ("CHWN", "HWIO", "CHWN")
    return lax.conv_general_dilated(field, kernel, (1, 1), "VALID", dimension_numbers=numbers, precision=precision())


def _split(shape: tuple[int, ...]) -> tuple[Taps, Taps]:
    """Taps (rows, columns) to gather before the product, and to add after it: the way that moves the fewest numbers."""
    height, width, c_in, c_out = shape
    ways = (((height, 1), (1, width)), ((height, width), (1, 1)), ((1, 1), (height, width)))
    return min(ways, key=lambda way: math.prod(way[0]) * c_in + math.prod(way[1]) * c_out)


def _matrix(kernel: Array) -> Array:
    """(kh, kw, C_in, C_out) -> (added taps and C_out, gathered taps and C_in)."""
    gathered, scattered = _split(kernel.shape)
    pairs = [n for pair in zip(gathered, scattered, strict=True) for n in pair]
    order = kernel.reshape(*pairs, *kernel.shape[2:]).transpose(1, 3, 5, 0, 2, 4)
    return order.reshape(math.prod(order.shape[:3]), -1)


def _gather(x: Array, taps: Taps, boundary: Boundary, order: int = 1) -> Array:
    """(C, H, W, B) -> (taps_h taps_w C, H, W, B): x[y + d - radius] for every tap d, from the last one on if -1."""
    for axis in (2, 1):
        x = jnp.concatenate(_shifts(x, taps[axis - 1], axis, boundary)[::order])
    return x


def _scatter(x: Array, taps: Taps, boundary: Boundary, order: int = 1) -> Array:
    """(taps_h taps_w C, H, W, B) -> (C, H, W, B): the sum over taps d of x_d[y + d - radius], in reverse if -1."""
    for axis in (1, 2):
        n = taps[axis - 1]
        parts = x.reshape(n, len(x) // n, *x.shape[1:])
        x = sum(_shifts(parts[d], n, axis, boundary)[::order][d] for d in range(n))
    return x


def _extend(x: Array, radius: int, axis: int, boundary: Boundary) -> Array:
    """Both ends of an axis extended by what lies beyond them."""
    if not radius:
        return x
    if boundary == "clamped":
        return jnp.pad(x, [(radius, radius) if i == axis else (0, 0) for i in range(x.ndim)])
    size = x.shape[axis]
    ends = (lax.slice_in_dim(x, size - radius, size, axis=axis), lax.slice_in_dim(x, 0, radius, axis=axis))
    return jnp.concatenate([ends[0], x, ends[1]], axis)


def _shifts(x: Array, taps: int, axis: int, boundary: Boundary) -> list[Array]:
    """x[y + d - radius] for d = 0 ... taps - 1."""
    size, extended = x.shape[axis], _extend(x, taps // 2, axis, boundary)
    return [lax.slice_in_dim(extended, d, d + size, axis=axis) for d in range(taps)]


def stencil_gradients(field: Array, kernel: Array, ct_out: Array, *, boundary: Boundary) -> tuple[Array, Array]:
    """Cotangents of the field and the kernel of `stencil_sum`.

    Args:
        field, kernel, boundary: as there.
        ct_out: cotangent of its result, (C_out, H, W, B).
    """
    if on_tpu():
        return jax.vjp(partial(_convolution, boundary), field, kernel)[1](ct_out)
    gathered, scattered = _split(kernel.shape)
    matrix, pixels = _matrix(kernel), field.shape[1:]
    neighbours = _gather(field, gathered, boundary).reshape(matrix.shape[1], math.prod(pixels))
    cotangents = _gather(ct_out, scattered, boundary, -1).reshape(len(matrix), math.prod(pixels))
    products = jnp.matmul(matrix.T, cotangents, precision=precision())
    ct_field = _scatter(products.reshape(matrix.shape[1], *pixels), gathered, boundary, -1)
    product = lax.dot_general(neighbours, cotangents, (((1,), (1,)), ((), ())), precision=precision())
    product = product.reshape(*gathered, kernel.shape[2], *scattered, kernel.shape[3])
    return ct_field, product.transpose(0, 3, 1, 4, 2, 5).reshape(kernel.shape)


def _transpose(boundary: Boundary, factors: tuple[Array, Array], ct_out: Array) -> tuple[Array, Array]:
    return stencil_gradients(*factors, ct_out, boundary=boundary)


_sum = bilinear(_product, _transpose)
