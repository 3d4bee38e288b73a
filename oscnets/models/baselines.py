"""Real-valued networks that KomplexNet is compared with."""

from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
from einops import rearrange
from flax import linen as nn
from jax import Array

from oscnets._inputs import precision
from oscnets._products.conv import conv_hwcb
from oscnets._products.layout import from_hwcb, to_hwcb
from oscnets.models._program import run
from oscnets.models.init import torch_bias, torch_uniform
from oscnets.ops.norm import normalize


class RealNet(nn.Module):
    """KomplexNet without phases, layer for layer.

    Conv 3x3, relu; conv 3x3 stride 2, instance norm, relu; dense, layer norm, relu; dense.

    Attributes:
        channels: of the first convolution.
        conv_channels: of the strided one; the paper's larger model has 9.
        hidden: units of the dense layer; the larger model has 46.
        num_classes: K.
    """

    channels: int = 8
    conv_channels: int = 8
    hidden: int = 50
    num_classes: int = 10

    def __call__(self, images: Array) -> Array:
        """(B, H, W, C_in) images with even H and W -> (B, K) logits."""
        return run(self, "_logits", {"images": images}, core=3, out=0)

    def features(self, images: Array) -> Array:
        """Output of the first convolution, rectified: (B, H, W, channels), KomplexNet's amplitude."""
        return run(self, "_first", {"images": images}, core=3, out=0)

    def _logits(self, images: Array) -> Array:
        return self._layers(images)[1]

    def _first(self, images: Array) -> Array:
        return from_hwcb(self._layers(images)[0], (len(images),))

    @nn.compact
    def _layers(self, images: Array) -> tuple[Array, Array]:
        """First layer (H, W, C, B) and logits (B, K)."""
        if images.ndim != 4 or images.shape[1] % 2 or images.shape[2] % 2:
            raise ValueError(f"images must be (B, H, W, C) with even H and W, got shape {images.shape}")
        x = to_hwcb(images)
        first = nn.relu(conv_hwcb(x, self.param("encoder_kernel", torch_uniform, (3, 3, x.shape[2], self.channels))))
        kernel, bias = self._affine("conv", (3, 3, self.channels, self.conv_channels))
        x = self._rectify("conv", conv_hwcb(first, kernel, strides=2) + bias, (0, 1))
        x = rearrange(x, "h w c b -> (h w c) b")
        kernel, bias = self._affine("hidden", (len(x), self.hidden))
        x = self._rectify("hidden", jnp.matmul(kernel.T, x, precision=precision()) + bias, 0)
        kernel, bias = self._affine("output", (self.hidden, self.num_classes))
        return first, (jnp.matmul(kernel.T, x, precision=precision()) + bias).T

    def _affine(self, name: str, shape: tuple[int, ...]) -> tuple[Array, Array]:
        kernel = self.param(f"{name}_kernel", torch_uniform, shape)
        return kernel, self.param(f"{name}_bias", torch_bias(shape), shape[-1:])[:, None]

    def _rectify(self, name: str, x: Array, axes: int | tuple[int, ...]) -> Array:
        size = (x.shape[-2],)
        scale = self.param(f"{name}_scale", nn.initializers.ones, size)[:, None]
        return nn.relu(normalize(x, axes) * scale + self.param(f"{name}_shift", nn.initializers.zeros, size)[:, None])


def larger_real_net(num_classes: int = 10) -> RealNet:
    """The paper's real model with more parameters: 107,339 on 32x32 grey images."""
    return RealNet(channels=8, conv_channels=9, hidden=46, num_classes=num_classes)


class VisionTransformer(nn.Module):
    """A transformer baseline: patches, learned positions, blocks, mean pooling.

    Attributes:
        patch: side of a patch, pixels.
        width: features of a token.
        heads: of the self-attention.
        mlp: hidden units of the perceptron of a block.
        blocks: their number.
        num_classes: K.
        norm: "first": blocks normalize their input and use gelu, and a last norm precedes the mean. "last": they
            normalize their output and use relu, as the transformer of KomplexNet's script does.
        dropout: share, in [0, 1), of values dropped in training: attention weights, and what each part of a block adds.
    """

    patch: int = 4
    width: int = 64
    heads: int = 2
    mlp: int = 128
    blocks: int = 3
    num_classes: int = 10
    norm: Literal["first", "last"] = "first"
    dropout: float = 0.0

    def __call__(self, images: Array, *, train: bool = False) -> Array:
        """Classify images.

        Args:
            images: (B, H, W, C_in), H and W divisible by the patch.
            train: drop values (PRNG stream "dropout", unless dropout=0).

        Returns:
            Logits (B, K).

        Raises:
            ValueError: images of another shape, another value of `norm`, a dropout outside of [0, 1).
        """
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), got {self.dropout}")
        drops = train and self.dropout > 0
        rng = "dropout" if drops and not self.is_initializing() else None
        return run(self, "_logits", {"images": images}, core=3, out=0, rng=rng, drops=drops)

    @nn.compact
    def _logits(self, images: Array, *, drops: bool, key: Array | None = None) -> Array:
        if images.ndim != 4 or images.shape[1] % self.patch or images.shape[2] % self.patch:
            raise ValueError(f"images must be (B, H, W, C) with sides divisible by {self.patch}, got {images.shape}")
        if self.norm not in ("first", "last"):
            raise ValueError(f"norm must be 'first' or 'last', got {self.norm!r}")
        drops = drops and not self.is_initializing()
        if drops and key is None:
            key = self.make_rng("dropout")
        keys = jax.random.split(key, (self.blocks, 4)) if drops else [[None] * 4] * self.blocks
        x = nn.Dense(self.width, precision=precision(), name="embedding")(_patches(images, self.patch))
        x = x + self.param("positions", nn.initializers.normal(0.02), x.shape[1:])
        for index in range(self.blocks):
            x = self._block(x, index, keys[index])
        x = nn.LayerNorm(name="norm")(x) if self.norm == "first" else x
        return nn.Dense(self.num_classes, precision=precision(), name="output")(x.mean(1))

    def _block(self, x: Array, index: int, keys: Sequence[Array | None]) -> Array:
        norms = nn.LayerNorm(name=f"norm_{index}"), nn.LayerNorm(name=f"mlp_norm_{index}")
        activation, first = (nn.gelu, True) if self.norm == "first" else (nn.relu, False)

        def attend(x: Array) -> Array:
            attention = nn.MultiHeadDotProductAttention(
                self.heads,
                dropout_rate=self.dropout,
                broadcast_dropout=False,
                precision=precision(),
                name=f"attention_{index}",
            )
            attended = attention(x, deterministic=keys[0] is None, dropout_rng=keys[0])
            return _drop(attended, self.dropout, keys[1])

        def perceive(x: Array) -> Array:
            wide = nn.Dense(self.mlp, precision=precision(), name=f"wide_{index}")
            narrow = nn.Dense(self.width, precision=precision(), name=f"narrow_{index}")
            return _drop(narrow(_drop(activation(wide(x)), self.dropout, keys[2])), self.dropout, keys[3])

        for norm, part in zip(norms, (attend, perceive), strict=True):
            x = x + part(norm(x)) if first else norm(x + part(x))
        return x


def _drop(x: Array, share: float, key: Array | None) -> Array:
    if key is None:
        return x
    return jnp.where(jax.random.bernoulli(key, 1 - share, x.shape), x / (1 - share), 0)


def _patches(images: Array, side: int) -> Array:
    """(B, H, W, C) -> (B, patches, side side C)."""
    return rearrange(images, "b (h i) (w j) c -> b (h w) (i j c)", i=side, j=side)
