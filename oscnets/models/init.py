"""Initializers that the published models start from."""

import math
from collections.abc import Callable

import jax
from flax.linen import initializers
from jax import Array

# PyTorch's default for convolutions and dense layers: uniform within +-1 / sqrt(fan_in).
torch_uniform: initializers.Initializer = initializers.variance_scaling(1 / 3, "fan_in", "uniform")


def torch_bias(kernel_shape: tuple[int, ...]) -> Callable[..., Array]:
    """Uniform within +-1 / sqrt(fan_in) of the kernel beside it, (..., C_in, C_out)."""
    bound = 1 / math.sqrt(math.prod(kernel_shape[:-1]))
    return lambda key, shape, dtype=float: jax.random.uniform(key, shape, dtype, -bound, bound)
