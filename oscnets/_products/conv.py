"""Convolutions as matrix products.

XLA's own convolutions are slow inside a loop on a CPU, in their gradients, and when each seed of a vmap has kernels of
its own; products are fast everywhere. The layout is `hwcb`, (H, W, C, B).
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jax import Array, lax

from oscnets._inputs import precision
from oscnets._platform import on_gpu
from oscnets._products.linear import bilinear

_ONE_PRODUCT = 128  # largest side of the matrix of such a product


def conv_hwcb(x: Array, kernel: Array, *, strides: int = 1) -> Array:
    """`oscnets.ops.conv` in this layout: (H, W, C_in, B) -> (H / strides, W / strides, C_out, B)."""
    _check(x, kernel)
    if x.shape[0] % strides or x.shape[1] % strides:
        raise ValueError(f"image of {x.shape[0]} x {x.shape[1]} is not divisible by the stride {strides}")
    if strides > 1:
        return _shifted_sum(_space_to_depth(x, strides), *_strided_kernel(kernel, strides))
    return _shifted_sum(x, kernel, (kernel.shape[0] // 2, kernel.shape[1] // 2))


def _check(x: Array, kernel: Array) -> None:
    if x.ndim != 4:
        raise ValueError(f"x must be (H, W, C_in, B), got shape {x.shape}")
    if kernel.ndim != 4 or x.shape[2] != kernel.shape[2]:
        raise ValueError(f"kernel must be (kh, kw, {x.shape[2]}, C_out) for {x.shape[2]} channels, got {kernel.shape}")
    if kernel.shape[0] % 2 == 0 or kernel.shape[1] % 2 == 0:
        raise ValueError(f"kernel must have odd height and width, got {kernel.shape[0]} x {kernel.shape[1]}")


def conv_transpose_hwcb(x: Array, kernel: Array, *, strides: int = 2) -> Array:
    """Transposed convolution: (H, W, C_in, B) -> (strides H, strides W, C_out, B).

    The adjoint in the image of the strided `conv_hwcb` whose kernel is this one with its channels swapped; PyTorch's
    `ConvTranspose2d(stride=s, padding=k // 2, output_padding=s - 1)`. Computed as one convolution at the lower
    resolution that gives all `strides` squared pixels of an output cell at once.

    Args:
        x: (H, W, C_in, B).
        kernel: (kh, kw, C_in, C_out), odd sizes; one input pixel adds its value times this around its place.
        strides: the same along both axes.

    Raises:
        ValueError: ranks or channels that do not fit, an even kernel.
    """
    _check(x, kernel)
    taps, origin = zip(*(_cell_taps(k, strides) for k in kernel.shape[:2]), strict=True)
    # One row of zeros at the end stands for the taps that fall outside the kernel.
    kernel = jnp.pad(kernel, [(0, 1), (0, 1), (0, 0), (0, 0)])[taps[0]][:, :, taps[1]]
    kernel = rearrange(kernel, "taps_h a taps_w b i o -> taps_h taps_w i (a b o)")
    cells = _shifted_sum(x, kernel, origin)
    return rearrange(cells, "h w (a b o) n -> (h a) (w b) o n", a=strides, b=strides)


def _cell_taps(size: int, stride: int) -> tuple[np.ndarray, int]:
    """For every shift d of the input and pixel a of an output cell, which tap of a kernel acts; -1 for none."""
    radius = size // 2
    first, last = -(-(radius + 1 - size) // stride), (stride - 1 + radius) // stride
    taps = radius + np.arange(stride)[None, :] - stride * np.arange(first, last + 1)[:, None]
    return np.where((taps >= 0) & (taps < size), taps, -1), -first


def _space_to_depth(x: Array, stride: int) -> Array:
    """(H, W, C, B) -> (H/s, W/s, s s C, B)."""
    return rearrange(x, "(h a) (w b) c n -> h w (a b c) n", a=stride, b=stride)


def _strided_kernel(kernel: Array, stride: int) -> tuple[Array, tuple[int, int]]:
    """The stride-1 kernel on the space-to-depth image that equals a strided kernel, and its origin."""
    origin = [-(-(k // 2) // stride) for k in kernel.shape[:2]]
    taps = [o + (k - 1 - k // 2) // stride + 1 for o, k in zip(origin, kernel.shape[:2], strict=True)]
    before = [o * stride - k // 2 for o, k in zip(origin, kernel.shape[:2], strict=True)]
    pads = [(b, t * stride - b - k) for b, t, k in zip(before, taps, kernel.shape[:2], strict=True)]
    kernel = jnp.pad(kernel, [*pads, (0, 0), (0, 0)])
    kernel = rearrange(kernel, "(taps_h a) (taps_w b) i o -> taps_h taps_w (a b i) o", a=stride, b=stride)
    return kernel, tuple(origin)


def _shifted_sum(x: Array, kernel: Array, origin: tuple[int, int]) -> Array:
    """out[y, x] = sum_t kernel[t] x[y + t - origin]: gathers taps first or multiplies first, whichever moves less."""
    (taps_h, taps_w, c_in, c_out), (height, width, _, batch) = kernel.shape, x.shape
    after = (taps_h - 1 - origin[0], taps_w - 1 - origin[1])
    pads = [(origin[0], after[0]), (origin[1], after[1]), (0, 0), (0, 0)]
    offsets = [(i, j) for i in range(taps_h) for j in range(taps_w)]
    if c_in <= c_out:
        padded = jnp.pad(x, pads)
        gather = lambda x: jnp.concatenate([x[i : i + height, j : j + width] for i, j in offsets], axis=2)  # noqa: E731
        return _patchwise(gather, padded, kernel.reshape(-1, c_out))
    by_tap = kernel.transpose(2, 0, 1, 3).reshape(c_in, -1)
    products = jnp.pad(_pixelwise(x, by_tap), pads).reshape(
        height + sum(pads[0]), width + sum(pads[1]), len(offsets), c_out, batch
    )
    return sum(products[i : i + height, j : j + width, t] for t, (i, j) in enumerate(offsets))


@partial(jax.checkpoint, static_argnums=0, prevent_cse=False)
def _patchwise(gather: Callable[[Array], Array], x: Array, matrix: Array) -> Array:
    """Products of gathered patches, gathered again for gradients: they are many times larger than the image."""
    return _pixelwise(gather(x), matrix)


def _is_one_product(matrix: Array) -> bool:
    """Whether a GPU takes all pixels in one product. Of one of 288 x 147,456 XLA found no tiles for an H100."""
    return on_gpu() and max(matrix.shape) <= _ONE_PRODUCT


def _at_pixels(x: Array, matrix: Array) -> Array:
    """(H, W, C, B) times (M, C): a batched product, which leaves the axes in their order; small ones on a GPU one."""
    if _is_one_product(matrix):
        return jnp.einsum("hwin,oi->hwon", x, matrix, precision=precision())
    pixels = x.shape[0] * x.shape[1]
    matrix = jnp.broadcast_to(matrix, (pixels, *matrix.shape))
    out = lax.dot_general(matrix, x.reshape(pixels, *x.shape[2:]), (((2,), (1,)), ((0,), (0,))), precision=precision())
    return out.reshape(*x.shape[:2], *out.shape[1:])


def _pixelwise_product(_: None, x: Array, matrix: Array) -> Array:
    return _at_pixels(x, matrix.T)


def _pixelwise_transpose(_: None, factors: tuple[Array, Array], ct_out: Array) -> tuple[Array, Array]:
    # As automatic differentiation has it, but each matrix is oriented as XLA's fast product on a CPU needs it.
    x, matrix = factors
    if _is_one_product(matrix):
        ct_matrix = jnp.einsum("hwin,hwon->io", x, ct_out, precision=precision())
    else:
        ct_matrix = jnp.einsum("hwin,hwon->hwio", x, ct_out, precision=precision()).sum((0, 1))
    return _at_pixels(ct_out, matrix), ct_matrix


# (H, W, C_in, B) times (C_in, C_out) at every pixel
_pixelwise = partial(bilinear(_pixelwise_product, _pixelwise_transpose), None)
