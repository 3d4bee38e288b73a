"""Self-attention on a grid, with learned rotations by position or tables of positions.

As in the networks of Miyato, Löwe, Geiger and Welling (2025). The head is the fast index of the channels, so that the
consecutive channels of an oscillator lie in different heads.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from flax import linen as nn
from jax import Array

from oscnets._inputs import precision
from oscnets._platform import cpu_barrier, recomputed
from oscnets._products.matmul import matmul
from oscnets.models.init import torch_bias, torch_uniform

BLOCKS = ("query", "key", "value", "output")


class Attention(NamedTuple):
    """Weights of a self-attention of C channels; d = C / heads."""

    qkv_kernel: Array  # (C, 3 C)
    qkv_bias: Array
    out_kernel: Array  # (C, C)
    out_bias: Array
    blocks: dict[str, Array] | None  # of `BLOCKS`, (H W, d / 2, 2, 2) each: what pairs of channels are multiplied by


def attention_weights(
    module: nn.Module, channels: int, heads: int, grid: tuple[int, int] | None, prefix: str = ""
) -> Attention:
    """Make the weights as parameters of a module; with blocks by position where a grid (H, W) is given.

    Raises:
        ValueError: channels that the heads do not divide, or with a grid an odd number of channels of a head.
    """
    size = channels // max(heads, 1)
    if heads < 1 or channels % heads:
        raise ValueError(f"channels must be a multiple of the {heads} heads, got {channels}")
    if grid is not None and size % 2:
        raise ValueError(f"positions need an even number of channels of a head, got {size}")
    wide, square = (channels, 3 * channels), (channels, channels)
    blocks = None
    if grid is not None:
        blocks = {name: module.param(f"{prefix}{name}_blocks", _start(name), grid, size) for name in BLOCKS}
    return Attention(
        module.param(f"{prefix}qkv_kernel", torch_uniform, wide),
        module.param(f"{prefix}qkv_bias", torch_bias(wide), wide[-1:]),
        module.param(f"{prefix}out_kernel", torch_uniform, square),
        module.param(f"{prefix}out_bias", torch_bias(square), square[-1:]),
        blocks,
    )


def _start(name: str) -> nn.initializers.Initializer:
    def init(_: Array, grid: tuple[int, int], size: int) -> Array:
        blocks = position_blocks(*grid, size)
        return jnp.swapaxes(blocks, -2, -1) if name == "output" else blocks

    return init


def position_blocks(height: int, width: int, size: int) -> Array:
    """Rotations by position, (H W, d / 2, 2, 2): of even pairs of channels by the row, of odd ones by the column.

    The angle of pair 2 j and 2 j + 1 is row or column times 10000^(-j / ceil(d / 4)).
    """
    count = -(-size // 4)
    frequency = 10000.0 ** (-np.arange(count) / count)
    rows, columns = np.divmod(np.arange(height * width), width)
    angles = np.stack([rows[:, None] * frequency, columns[:, None] * frequency], -1).reshape(height * width, -1)
    cosine, sine = np.cos(angles[:, : size // 2]), np.sin(angles[:, : size // 2])
    return jnp.asarray(np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], -2), jnp.float32)


def position_table(height: int, width: int, channels: int) -> Array:
    """Sines and cosines (H, W, C): of the column in the first half of the channels, of the row in the second.

    Channels 2 j and 2 j + 1 of a half have the angle position times 10000^(-2 j / (C / 2)).

    Raises:
        ValueError: channels that are no multiple of 4.
    """
    if channels % 4:
        raise ValueError(f"a table of positions needs a multiple of 4 channels, got {channels}")
    frequency = 10000.0 ** (-np.arange(0, channels // 2, 2) / (channels // 2))

    def half(position: np.ndarray) -> np.ndarray:
        angle = position[..., None] * frequency
        return np.stack([np.sin(angle), np.cos(angle)], -1).reshape(height, width, channels // 2)

    rows, columns = np.mgrid[:height, :width]
    return jnp.asarray(np.concatenate([half(columns), half(rows)], -1), jnp.float32)


def resized_blocks(weights: Attention, grid: tuple[int, int], to: tuple[int, int]) -> Attention:
    """Blocks for another grid, by bilinear interpolation of their entries."""
    if weights.blocks is None or tuple(grid) == tuple(to):
        return weights

    def resize(x: Array) -> Array:
        shape = (*to, *x.shape[1:])
        x = jax.image.resize(x.reshape(*grid, *x.shape[1:]), shape, "linear", antialias=False, precision=precision())
        return x.reshape(-1, *x.shape[2:])

    return weights._replace(blocks={name: resize(x) for name, x in weights.blocks.items()})


class Projections(NamedTuple):
    """Weights of an attention in the order of `mix_by_channel`: by head, then first or second of a pair, then pair.

    Without blocks there are no pairs, and the order within a head is theirs.
    """

    qkv_kernel: Array  # (3 C, C)
    qkv_bias: Array  # (3 C, 1)
    out_kernel: Array  # (C, C)
    blocks: dict[str, Array] | None  # (2, 2, d / 2, 1, H W) each


def projections(weights: Attention, heads: int) -> Projections:
    """Bring weights into that order, once for all steps of a dynamics."""
    ordered = lambda x: rearrange(x, "(d h) ... -> (h d) ...", h=heads)  # noqa: E731
    if weights.blocks is not None:
        ordered = lambda x: rearrange(x, "(p i h) ... -> (h i p) ...", h=heads, i=2)  # noqa: E731
    channels = len(weights.out_kernel)
    parts = [ordered(x) for x in jnp.split(weights.qkv_kernel.T, 3)]
    biases = [ordered(x) for x in jnp.split(weights.qkv_bias, 3)]
    for part in (parts, biases):
        part[0] /= (channels // heads) ** 0.5  # that of the scores
    blocks = weights.blocks and {key: rearrange(x, "n p i j -> i j p 1 n") for key, x in weights.blocks.items()}
    out_kernel = ordered(weights.out_kernel).T
    return Projections(jnp.concatenate(parts), jnp.concatenate(biases)[:, None], out_kernel, blocks)


def attention(weights: Attention, heads: int) -> Callable[[Array], Array]:
    """Self-attention among the units of each image, (B, ..., C) -> (B, ..., C)."""
    prepared = projections(weights, heads)

    def attend(x: Array) -> Array:
        mixed = mix_by_channel(rearrange(x, "b ... c -> c b ..."), prepared, heads)
        return rearrange(mixed, "c b ... -> b ... c") + weights.out_bias

    return attend


def mix_by_channel(x: Array, weights: Projections, heads: int) -> Array:
    """Attention without the bias of its output, (C, B, ...) -> (C, B, ...).

    With the channels first a product over them is one matrix product of all units of all images.
    """
    return recomputed(partial(_mix, heads))(x, weights)


def _mix(heads: int, x: Array, weights: Projections) -> Array:
    qkv = matmul(weights.qkv_kernel, x.reshape(len(x), -1)) + weights.qkv_bias
    qkv = qkv.reshape(3, heads, len(x) // heads, x.shape[1], -1)
    query, key, value = (_turned(y, weights.blocks, name) for y, name in zip(qkv, BLOCKS, strict=False))
    keys = cpu_barrier(rearrange(key, "h d b n -> h b n d"))
    query, value = cpu_barrier(tuple(rearrange(y, "h d b n -> h b d n") for y in (query, value)))
    # (h, B, key, query): the next product takes the large matrix as it is.
    shares = jax.nn.softmax(matmul(keys, query), axis=2)
    mixed = rearrange(cpu_barrier(matmul(value, shares)), "h b d n -> h d b n")
    mixed = _turned(mixed, weights.blocks, "output")
    return matmul(weights.out_kernel, mixed.reshape(len(x), -1)).reshape(x.shape)


def _turned(x: Array, blocks: dict[str, Array] | None, name: str) -> Array:
    """(h, d, B, N): each pair of channels times its block at each position."""
    if blocks is None:
        return x
    first, second = jnp.split(x, 2, axis=1)
    block = blocks[name]
    return jnp.concatenate([block[i, 0] * first + block[i, 1] * second for i in range(2)], axis=1)
