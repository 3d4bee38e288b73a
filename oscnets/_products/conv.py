"""Convolutions as matrix products.

XLA's own convolutions are slow inside a loop on a CPU, in their gradients, and when each seed of a vmap has kernels of
its own; products are fast everywhere. The inner layout is (H, W, C, N), batch last.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

_HIGHEST = lax.Precision.HIGHEST


def conv_hwcb(x: Array, kernel: Array, *, strides: int = 1) -> Array:
    """`conv` in the inner layout: (H, W, C_in, N) -> (H / strides, W / strides, C_out, N)."""
    _check(x, kernel)
    if x.shape[0] % strides or x.shape[1] % strides:
        raise ValueError(f"image of {x.shape[0]} x {x.shape[1]} is not divisible by the stride {strides}")
    if strides > 1:
        return _shifted_sum(_space_to_depth(x, strides), *_strided_kernel(kernel, strides))
    return _shifted_sum(x, kernel, (kernel.shape[0] // 2, kernel.shape[1] // 2))


def _check(x: Array, kernel: Array) -> None:
    if x.ndim != 4:
        raise ValueError(f"x must be (H, W, C_in, N), got shape {x.shape}")
    if kernel.ndim != 4 or x.shape[2] != kernel.shape[2]:
        raise ValueError(f"kernel must be (kh, kw, {x.shape[2]}, C_out) for {x.shape[2]} channels, got {kernel.shape}")
    if kernel.shape[0] % 2 == 0 or kernel.shape[1] % 2 == 0:
        raise ValueError(f"kernel must have odd height and width, got {kernel.shape[0]} x {kernel.shape[1]}")


def conv_transpose_hwcb(x: Array, kernel: Array, *, strides: int = 2) -> Array:
    """Transposed convolution in the inner layout: (H, W, C_in, N) -> (strides H, strides W, C_out, N).

    The adjoint in the image of the strided `conv_hwcb` whose kernel is this one with its channels swapped; PyTorch's
    `ConvTranspose2d(stride=s, padding=k // 2, output_padding=s - 1)`. Computed as one convolution at the lower
    resolution that gives all `strides` squared pixels of an output cell at once.

    Args:
        x: (H, W, C_in, N).
        kernel: (kh, kw, C_in, C_out), odd sizes: what one input pixel adds around its place.
        strides: the same along both axes.

    Raises:
        ValueError: ranks or channels that do not fit, an even kernel.
    """
    _check(x, kernel)
    cells, origin = zip(*(_cell_taps(k, strides) for k in kernel.shape[:2]), strict=True)
    # One row of zeros at the end stands for the taps that fall outside the kernel.
    kernel = jnp.pad(kernel, [(0, 1), (0, 1), (0, 0), (0, 0)])[cells[0]][:, :, cells[1]]
    kernel = kernel.transpose(0, 2, 4, 1, 3, 5)  # (taps_h, taps_w, C_in, s, s, C_out)
    c_out, (height, width, _, batch) = kernel.shape[-1], x.shape
    out = _shifted_sum(x, kernel.reshape(*kernel.shape[:3], -1), origin)
    out = out.reshape(height, width, strides, strides, c_out, batch).transpose(0, 2, 1, 3, 4, 5)
    return out.reshape(strides * height, strides * width, c_out, batch)


def _cell_taps(size: int, stride: int) -> tuple[np.ndarray, int]:
    """For every shift d of the input and pixel a of an output cell, which tap of a kernel acts; -1 for none."""
    radius = size // 2
    first, last = -(-(radius + 1 - size) // stride), (stride - 1 + radius) // stride
    taps = radius + np.arange(stride)[None, :] - stride * np.arange(first, last + 1)[:, None]
    return np.where((taps >= 0) & (taps < size), taps, -1), -first


def _space_to_depth(x: Array, stride: int) -> Array:
    """(H, W, C, N) -> (H/s, W/s, s s C, N)."""
    height, width, channels, batch = x.shape
    x = x.reshape(height // stride, stride, width // stride, stride, channels, batch).transpose(0, 2, 1, 3, 4, 5)
    return x.reshape(height // stride, width // stride, stride * stride * channels, batch)


def _strided_kernel(kernel: Array, stride: int) -> tuple[Array, tuple[int, int]]:
    """The stride-1 kernel on the space-to-depth image that equals a strided kernel, and its origin."""
    origin = [-(-(k // 2) // stride) for k in kernel.shape[:2]]
    taps = [o + (k - 1 - k // 2) // stride + 1 for o, k in zip(origin, kernel.shape[:2], strict=True)]
    before = [o * stride - k // 2 for o, k in zip(origin, kernel.shape[:2], strict=True)]
    pads = [(b, t * stride - b - k) for b, t, k in zip(before, taps, kernel.shape[:2], strict=True)]
    kernel = jnp.pad(kernel, [*pads, (0, 0), (0, 0)])
    kernel = kernel.reshape(taps[0], stride, taps[1], stride, *kernel.shape[2:]).transpose(0, 2, 1, 3, 4, 5)
    return kernel.reshape(*taps, -1, kernel.shape[-1]), tuple(origin)


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
        height + sum(pads[0]), width + sum(pads[1]), -1, c_out, batch
    )
    return sum(products[i : i + height, j : j + width, t] for t, (i, j) in enumerate(offsets))


@partial(jax.checkpoint, static_argnums=0, prevent_cse=False)
def _patchwise(gather: Callable[[Array], Array], x: Array, matrix: Array) -> Array:
    """Products of gathered patches, gathered again for gradients: they are many times larger than the image."""
    return _pixelwise(gather(x), matrix)


@jax.custom_vjp
def _pixelwise(x: Array, matrix: Array) -> Array:
    """(H, W, C_in, N) times (C_in, C_out) at every pixel."""
    return _at_pixels(x, matrix.T)


def _at_pixels(x: Array, matrix: Array) -> Array:
    """(H, W, C, N) times (M, C): a batched product, which leaves the axes in their order."""
    pixels = x.shape[0] * x.shape[1]
    matrix = jnp.broadcast_to(matrix, (pixels, *matrix.shape))
    out = lax.dot_general(matrix, x.reshape(pixels, *x.shape[2:]), (((2,), (1,)), ((0,), (0,))), precision=_HIGHEST)
    return out.reshape(*x.shape[:2], *out.shape[1:])


def _pixelwise_forward(x, matrix):
    return _pixelwise(x, matrix), (x, matrix)


def _pixelwise_backward(residuals, cotangent):
    # As autodiff has it, but with each matrix oriented as XLA's fast product on a CPU wants it.
    x, matrix = residuals
    of_matrix = jnp.einsum("hwin,hwon->hwio", x, cotangent, precision=_HIGHEST).sum((0, 1))
    return _at_pixels(cotangent, matrix), of_matrix


_pixelwise.defvjp(_pixelwise_forward, _pixelwise_backward)
