"""Convolutions with strides, and transposed ones, in the layout `hwcb`, (H, W, C, B)."""

import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jax import Array

from oscnets._products.stencil import Frame, Taps, correlate


def conv_hwcb(x: Array, kernel: Array, *, strides: int = 1) -> Array:
    """`oscnets.ops.conv` in this layout: (H, W, C_in, B) -> (H / strides, W / strides, C_out, B)."""
    _check(x, kernel)
    if x.shape[0] % strides or x.shape[1] % strides:
        raise ValueError(f"image of {x.shape[0]} x {x.shape[1]} is not divisible by the stride {strides}")
    if strides > 1:
        return _correlate(_space_to_depth(x, strides), *_strided_kernel(kernel, strides))
    return _correlate(x, kernel, (kernel.shape[0] // 2, kernel.shape[1] // 2))


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
    cells = _correlate(x, kernel, (origin[0], origin[1]))
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


def _correlate(x: Array, kernel: Array, origin: Taps) -> Array:
    out = correlate(Frame("clamped", origin), rearrange(x, "h w c b -> c h w b"), kernel)
    return rearrange(out, "c h w b -> h w c b")
