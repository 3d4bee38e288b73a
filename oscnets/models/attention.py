"""Self-attention on a grid, with learned rotations by position or tables of positions.

As in the networks of Miyato, Löwe, Geiger and Welling (2025). The head is the fast index of the channels, so that the
consecutive channels of an oscillator lie in different heads.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array

from oscnets._inputs import precision
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


def attend(x: Array, weights: Attention, *, heads: int) -> Array:
    """Self-attention among the units of each image, (B, ..., C) -> (B, ..., C)."""
    tokens = x.reshape(len(x), -1, x.shape[-1])
    qkv = jnp.matmul(tokens, weights.qkv_kernel, precision=precision()) + weights.qkv_bias
    parts = [y.reshape(*y.shape[:2], -1, heads) for y in jnp.split(qkv, 3, axis=-1)]  # (B, N, d, heads)
    if weights.blocks is not None:
        parts = [_turned(y, weights.blocks[name]) for y, name in zip(parts, BLOCKS[:3], strict=True)]
    query, key, value = parts
    scores = jnp.einsum("bndh,bmdh->bhnm", query / query.shape[2] ** 0.5, key, precision=precision())
    out = jnp.einsum("bhnm,bmdh->bndh", jax.nn.softmax(scores, axis=-1), value, precision=precision())
    if weights.blocks is not None:
        out = _turned(out, weights.blocks["output"])
    out = jnp.matmul(out.reshape(tokens.shape), weights.out_kernel, precision=precision()) + weights.out_bias
    return out.reshape(x.shape)


def _turned(x: Array, blocks: Array) -> Array:
    """(B, N, d, heads), each pair of consecutive channels of a head times its block at this position."""
    pairs = x.reshape(*x.shape[:2], -1, 2, x.shape[-1])
    first, second = pairs[..., 0, :], pairs[..., 1, :]
    rows = [blocks[..., i, 0, None] * first + blocks[..., i, 1, None] * second for i in range(2)]
    return jnp.stack(rows, axis=3).reshape(x.shape)
