"""A convolution as matrix products, in the public layout."""

from functools import partial

import jax
from jax import Array

from oscnets._inputs import floats, standard_promotion
from oscnets._products.conv import conv_hwcb
from oscnets._products.layout import from_hwcb, to_hwcb
from oscnets._sharding import batch_sharded


@standard_promotion
@batch_sharded("x", core=3)
def conv(x: Array, kernel: Array, *, strides: int = 1) -> Array:
    """Cross-correlation, zero padded by half the kernel, as PyTorch's `Conv2d(padding=k // 2)`.

    Args:
        x: (..., H, W, C_in); H and W divisible by `strides`.
        kernel: (kh, kw, C_in, C_out), odd sizes.
        strides: the same along both axes.

    Returns:
        (..., H / strides, W / strides, C_out), in the widest floating type of both.

    Raises:
        ValueError: ranks or channels that do not fit, an even kernel, a size that the stride does not divide.
    """
    x, kernel = floats(x=x, kernel=kernel)
    if x.ndim < 3:
        raise ValueError(f"x must be (..., H, W, C_in), got shape {x.shape}")
    return _conv(x, kernel, strides=strides)


@partial(jax.jit, static_argnames="strides", inline=True)
def _conv(x: Array, kernel: Array, *, strides: int) -> Array:
    return from_hwcb(conv_hwcb(to_hwcb(x), kernel, strides=strides), x.shape[:-3])
