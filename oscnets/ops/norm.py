"""Normalization."""

import jax
from jax import Array

__all__ = ["normalize"]


def __dir__() -> list[str]:
    return __all__


def normalize(x: Array, axes: int | tuple[int, ...], epsilon: float = 1e-5) -> Array:
    """Zero mean and unit biased variance over `axes`, without scale and shift.

    Args:
        x: any shape, floating.
        axes: those of mean and variance: the two image axes for an instance norm, the features for a layer norm.
        epsilon: added to the variance; where `x` is constant the result is 0 with finite gradients.
    """
    centred = x - x.mean(axes, keepdims=True)
    return centred * jax.lax.rsqrt((centred * centred).mean(axes, keepdims=True) + epsilon)
