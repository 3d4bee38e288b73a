"""A convolution as matrix products, in the public layout."""

from jax import Array

from oscnets._products.conv import conv_hwcb
from oscnets._products.layout import from_hwcb, to_hwcb


def conv(x: Array, kernel: Array, *, strides: int = 1) -> Array:
    """Cross-correlation, zero padded by half the kernel, as PyTorch's `Conv2d(padding=k // 2)`.

    Args:
        x: (..., H, W, C_in); H and W divisible by `strides`.
        kernel: (kh, kw, C_in, C_out), odd sizes.
        strides: the same along both axes.

    Returns:
        (..., H / strides, W / strides, C_out).

    Raises:
        ValueError: ranks or channels that do not fit, an even kernel, a size that the stride does not divide.
    """
    if x.ndim < 3:
        raise ValueError(f"x must be (..., H, W, C_in), got shape {x.shape}")
    return from_hwcb(conv_hwcb(to_hwcb(x), kernel, strides=strides), x.shape[:-3])
