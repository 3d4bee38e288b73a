"""Small kernels over neighbouring pixels, as products: the convolutions of layers and waves.

    out[o, y] = sum_{d, i} kernel[d, i, o] field[i, y + d - origin]

a cross-correlation of the same size, whose origin is the middle of the kernel. Beyond the image is 0 (`clamped`) or its
other side (`periodic`). The layout is `chwb`, (C, H, W, B): a product over channels then is one matrix product of all
pixels, and neighbours lie whole rows of the batch apart.

XLA's own convolutions are slow on a CPU inside a loop, in their gradients, and when each seed of a vmap has kernels of
its own. With products at every single pixel, in the layout (H, W, C, B), gradients of layers of 8 to 192 channels took
2 to 8 times as long on two cores of an Intel Xeon, those of 3 channels 0.6 times.
"""

import math
from functools import partial
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from jax import Array, lax

from oscnets._inputs import precision
from oscnets._platform import cpu_barrier, on_tpu
from oscnets._products.linear import bilinear

Boundary = Literal["clamped", "periodic"]
Taps = tuple[int, int]  # along rows and columns


class Frame(NamedTuple):
    """Where a kernel lies at a pixel, and what is beyond the image."""

    boundary: Boundary
    origin: Taps  # the tap at the pixel itself


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
    return correlate(Frame(boundary, _middle(kernel)), field, kernel)


def _middle(kernel: Array) -> Taps:
    return kernel.shape[0] // 2, kernel.shape[1] // 2


def _product(frame: Frame, field: Array, kernel: Array) -> Array:
    """Neighbours along some axes are gathered, one product multiplies them, its results are shifted and added.

    A fused sum over single taps took a tenth to a half more CPU time in the gradient of a run of oscillators of two
    channels, and was left out.
    """
    if on_tpu():
        return _convolution(frame, field, kernel)
    gathered, scattered = _split(kernel.shape)
    matrix, pixels = _matrix(kernel), field.shape[1:]
    neighbours = _gather(field, gathered, frame).reshape(matrix.shape[1], math.prod(pixels))
    products = jnp.matmul(matrix, neighbours, precision=precision())
    return _scatter(products.reshape(len(matrix), *pixels), scattered, frame)


def _convolution(frame: Frame, field: Array, kernel: Array) -> Array:
    """The same by XLA's convolution: on a TPU products of shifted images take many times longer to compile."""
    for axis, (taps, origin) in enumerate(zip(kernel.shape, frame.origin, strict=False), start=1):
        field = _extend(field, (origin, taps - 1 - origin), axis, frame.boundary)
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


def _gather(x: Array, taps: Taps, frame: Frame, *, back: bool = False) -> Array:
    """(C, H, W, B) -> (taps_h taps_w C, H, W, B): x[y + d - origin] for every tap d, or x[y - d + origin]."""
    for axis in (2, 1):
        x = jnp.concatenate(_shifts(x, taps[axis - 1], axis, frame, back=back))
    return x


def _scatter(x: Array, taps: Taps, frame: Frame, *, back: bool = False) -> Array:
    """(taps_h taps_w C, H, W, B) -> (C, H, W, B): the sum over d of x_d[y + d - origin], or x_d[y - d + origin]."""
    for axis in (1, 2):
        n = taps[axis - 1]
        parts = x.reshape(n, len(x) // n, *x.shape[1:])
        x = sum(_shifts(parts[d], n, axis, frame, back=back)[d] for d in range(n))
    return x


def _extend(x: Array, sizes: tuple[int, int], axis: int, boundary: Boundary) -> Array:
    """Both ends of an axis extended by what lies beyond them."""
    before, after = sizes
    if not before and not after:
        return x
    if boundary == "clamped":
        return jnp.pad(x, [sizes if i == axis else (0, 0) for i in range(x.ndim)])
    size = x.shape[axis]
    ends = (lax.slice_in_dim(x, size - before, size, axis=axis), lax.slice_in_dim(x, 0, after, axis=axis))
    return jnp.concatenate([ends[0], x, ends[1]], axis)


def _shifts(x: Array, taps: int, axis: int, frame: Frame, *, back: bool) -> list[Array]:
    """x[y + d - origin] for d = 0 ... taps - 1, or x[y - d + origin]."""
    if taps == 1:
        return [x]  # the other axis, or both, are shifted elsewhere
    before, size = frame.origin[axis - 1], x.shape[axis]
    reach = (before, taps - 1 - before)
    extended = _extend(x, reach[::-1] if back else reach, axis, frame.boundary)
    shifts = [lax.slice_in_dim(extended, d, d + size, axis=axis) for d in range(taps)]
    return shifts[::-1] if back else shifts


def stencil_gradients(field: Array, kernel: Array, ct_out: Array, *, boundary: Boundary) -> tuple[Array, Array]:
    """Cotangents of the field and the kernel of `stencil_sum`.

    Args:
        field, kernel, boundary: as there.
        ct_out: cotangent of its result, (C_out, H, W, B).
    """
    return _gradients(Frame(boundary, _middle(kernel)), (field, kernel), ct_out)


def _gradients(frame: Frame, factors: tuple[Array, Array], ct_out: Array) -> tuple[Array, Array]:
    field, kernel = factors
    if on_tpu():
        return jax.vjp(partial(_convolution, frame), field, kernel)[1](ct_out)
    gathered, scattered = _split(kernel.shape)
    matrix, pixels = _matrix(kernel), field.shape[1:]
    neighbours = _gather(field, gathered, frame).reshape(matrix.shape[1], math.prod(pixels))
    cotangents = _gather(ct_out, scattered, frame, back=True).reshape(len(matrix), math.prod(pixels))
    # XLA's fast product on a CPU takes no transposed matrix, and a transposition is merged into the product.
    products = jnp.matmul(cpu_barrier(matrix.T), cotangents, precision=precision())
    ct_field = _scatter(products.reshape(matrix.shape[1], *pixels), gathered, frame, back=True)
    product = lax.dot_general(neighbours, cotangents, (((1,), (1,)), ((), ())), precision=precision())
    product = product.reshape(*gathered, kernel.shape[2], *scattered, kernel.shape[3])
    return ct_field, product.transpose(0, 3, 1, 4, 2, 5).reshape(kernel.shape)


# (frame, field, kernel): `stencil_sum` of a kernel of any size and origin, unchecked.
correlate = bilinear(_product, _gradients)
