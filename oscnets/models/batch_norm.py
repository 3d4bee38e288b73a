"""Batch normalization with running statistics that move as PyTorch's do."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array


class BatchNorm(nn.Module):
    """Zero mean and unit variance per channel, then scale and shift.

    In training the statistics are those of the batch, with the biased variance, and the running statistics (collection
    `batch_stats`) move towards them by a tenth, with the unbiased variance, as PyTorch's do; else the running
    statistics are used.

    Attributes:
        axis: of the channels; all others are averaged over.
    """

    axis: int = 0

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Shape-preserving; epsilon 1e-5."""
        axis = self.axis % x.ndim
        size, others = x.shape[axis : axis + 1], tuple(i for i in range(x.ndim) if i != axis)
        mean = self.variable("batch_stats", "mean", jnp.zeros, size, x.dtype)
        variance = self.variable("batch_stats", "variance", jnp.ones, size, x.dtype)
        used = (mean.value, variance.value)
        if train:
            used = (x.mean(others), x.var(others))
            if not self.is_initializing():
                count = x.size // size[0]
                mean.value += 0.1 * (used[0] - mean.value)
                variance.value += 0.1 * (used[1] * count / max(count - 1, 1) - variance.value)
        scale = self.param("scale", nn.initializers.ones, size)
        shift = self.param("shift", nn.initializers.zeros, size)
        factor = scale * jax.lax.rsqrt(used[1] + 1e-5)
        wide = lambda a: jnp.expand_dims(a, others)  # noqa: E731
        return (x - wide(used[0])) * wide(factor) + wide(shift)
