"""Initial values of the published models: weights as PyTorch draws them, coupling kernels, phases."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax.linen import initializers
from jax import Array

from oscnets._inputs import whole_number

# PyTorch's default for convolutions and dense layers: uniform within +-1 / sqrt(fan_in).
torch_uniform: initializers.Initializer = initializers.variance_scaling(1 / 3, "fan_in", "uniform")


def torch_bias(kernel_shape: tuple[int, ...]) -> Callable[..., Array]:
    """Uniform within +-1 / sqrt(fan_in) of the kernel (..., C_in, C_out) that the bias belongs to."""
    bound = 1 / math.sqrt(math.prod(kernel_shape[:-1]))
    return lambda key, shape, dtype=float: jax.random.uniform(key, shape, dtype, -bound, bound)


def gaussian_kernel(size: int, channels: int, std: float = 3.0) -> Array:
    """A Gaussian of the distance from the centre, coordinates -1 to 1: (size, size, channels, channels).

    The kernel of every pair of channels is the same.
    """
    axis = jnp.linspace(-1.0, 1.0, size) if size > 1 else jnp.zeros(1)
    square = axis[:, None] ** 2 + axis[None, :] ** 2
    return jnp.broadcast_to(jnp.exp(-square / (2 * std**2))[..., None, None], (size, size, channels, channels))


def gabor_filters(size: int, channels: int) -> Array:
    """Gabor filters of `channels` orientations from 0 to pi, even and odd in turn: (size, size, 1, channels).

    A wave of `size` pixels under a Gaussian of standard deviation size / 3, without mean, of the norm that PyTorch's
    default gives on average. KomplexNet's script starts from filters in a file that is not public; these are ours.

    Args:
        size: side of the square, pixels, >= 3: smaller even filters are zero without their mean.
        channels: number of filters.

    Returns:
        (size, size, 1, channels), each filter of norm 1 / sqrt 3.

    Raises:
        ValueError: a size below 3, no channel.
    """
    size, channels = whole_number("size", size, 3), whole_number("channels", channels, 1)
    axis = jnp.arange(size) - (size - 1) / 2
    turn = jnp.pi * jnp.arange(channels) / channels
    along = axis[:, None, None] * jnp.sin(turn) + axis[None, :, None] * jnp.cos(turn)
    wave = jnp.cos(2 * jnp.pi * along / size - jnp.pi / 2 * (jnp.arange(channels) % 2))
    filters = wave * jnp.exp(-(axis[:, None, None] ** 2 + axis[None, :, None] ** 2) / (2 * (size / 3) ** 2))
    filters -= filters.mean((0, 1))
    norm = jnp.sqrt((filters**2).sum((0, 1)))
    return (filters / (jnp.sqrt(3.0) * norm))[:, :, None]


LAPLACE = ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0))


def laplace_kernel(channels: int) -> Array:
    """The five-point Laplacian within each channel, (3, 3, channels, channels)."""
    return jnp.asarray(LAPLACE)[:, :, None, None] * jnp.eye(channels)


def random_phases(key: Array, shape: tuple[int, ...]) -> Array:
    """Uniform in (-pi, pi)."""
    return jax.random.uniform(key, shape, minval=-jnp.pi, maxval=jnp.pi)


def ground_truth_phases(key: Array, masks: Array, overlap: Array, channels: int) -> Array:
    """Phases by ground truth: one phase per object, equally spaced from a random offset per image.

    Args:
        key: one PRNG key per image, shape (...).
        masks: (..., H, W, G), one mask per object.
        overlap: (..., H, W): where objects overlap; these pixels get the phase halfway between the first two objects
            (the circular mean of two opposite phases is undefined: the middle of the arc is taken). With more than two
            objects too, since `overlap` does not say which of them overlap.
        channels: C.

    Returns:
        (..., H, W, C) radians, the same in all channels of an object; the background is uniformly random.
    """
    groups = masks.shape[-1]

    def of_one(key: Array, masks: Array, overlap: Array) -> Array:
        offset_key, background_key = jax.random.split(key)
        offset = random_phases(offset_key, ())
        phases = random_phases(background_key, (*overlap.shape, channels))
        for group in range(groups):
            phases = jnp.where(masks[..., group, None], offset + 2 * jnp.pi * group / groups, phases)
        return jnp.where(overlap[..., None], offset + jnp.pi / groups, phases)

    for _ in range(masks.ndim - 3):
        of_one = jax.vmap(of_one)
    return of_one(key, masks > 0, overlap > 0)
