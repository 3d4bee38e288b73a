"""Normalization."""

import jax
from jax import Array

from oscnets._inputs import at_least_float32, floats, standard_promotion

__all__ = ["normalize"]


def __dir__() -> list[str]:
    return __all__


@standard_promotion
def normalize(x: Array, axes: int | tuple[int, ...], epsilon: float = 1e-5) -> Array:
    """Zero mean and unit biased variance over `axes`, without scale and shift.

    Args:
        x: any shape. Half precision is computed in float32. With a NaN all is NaN.
        axes: those of mean and variance: the two image axes for an instance norm, the features for a layer norm.
        epsilon: added to the variance; where `x` is constant the result is 0, to rounding, with finite gradients.
    """
    (x,) = floats(x=x)
    wide = x.astype(at_least_float32(x.dtype))
    centred = wide - wide.mean(axes, keepdims=True)
    return (centred * jax.lax.rsqrt((centred * centred).mean(axes, keepdims=True) + epsilon)).astype(x.dtype)
