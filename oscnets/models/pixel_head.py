"""Parts that the segmenters share: the encoders of an image and the classifier of a pixel.

Everything is in the layout chwb (C, H, W, B); the features of a pixel are a column of a matrix (F, P).
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from einops import rearrange
from flax import linen as nn
from jax import Array, lax

from oscnets._inputs import precision
from oscnets._platform import sizes
from oscnets._products.stencil import Boundary, stencil_sum
from oscnets._sharding import WHOLE
from oscnets.models.init import torch_bias, torch_uniform
from oscnets.ops._readout import How, num_bins, readout_tchwb


class Segmentation(NamedTuple):
    """Output of a segmenter."""

    logits: Array  # (B, H, W, K)
    states: Array | None = None  # (T, B, H, W, C) after every step; None without dynamics, or where they are not kept
    inverted: Array | None = None  # () bool: gradients invert the steps; None unless that was asked for


class Features(NamedTuple):
    """Features of all pixels, and the states that they were read from."""

    pixels: Array  # (B, H, W, F), for `classify_pixels`
    states: Array | None = None  # as in `Segmentation`
    inverted: Array | None = None


# Place of the batch axis in each output, see `oscnets.models._program.run`.
SEGMENTATION, FEATURES = Segmentation(0, 1, WHOLE), Features(0, 1, WHOLE)


def affine(module: nn.Module, name: str, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Declare `kernel_NAME` (..., C_in, C_out) and `bias_NAME` (C_out,), as PyTorch starts them."""
    kernel = module.param(f"kernel_{name}", torch_uniform, shape)
    return kernel, module.param(f"bias_{name}", torch_bias(shape), shape[-1:])


def conv(x: Array, kernel: Array, bias: Array, boundary: Boundary = "clamped") -> Array:
    """(C_in, H, W, B) -> (C_out, H, W, B)."""
    return stencil_sum(x, kernel, boundary=boundary) + bias[:, None, None, None]


def dense(x: Array, kernel: Array, bias: Array) -> Array:
    """(F, ...) -> (units, ...), the same at every pixel."""
    out = jnp.matmul(kernel.T, x.reshape(len(x), -1), precision=precision())
    return out.reshape(-1, *x.shape[1:]) + bias.reshape(-1, *[1] * (x.ndim - 1))


def identity_kernel(_: Array, shape: tuple[int, ...], dtype: Any = float) -> Array:
    """Kernel (kh, kw, C_in, C_out) of a convolution whose output channel o is input channel o mod C_in."""
    height, width, c_in, c_out = shape
    passed = jnp.arange(c_in)[:, None] == jnp.arange(c_out) % c_in
    return jnp.zeros(shape, dtype).at[height // 2, width // 2].set(passed.astype(dtype))


class Encoder(nn.Module):
    """Convolutions 3x3 with zero padding, relu between them.

    Attributes:
        features: channels of each layer.
        last: the function after the last layer.
        start: "default" is PyTorch's; "identity" returns the image (`identity_kernel`, biases of 0).
    """

    features: tuple[int, ...]
    last: Literal["relu", "tanh", "none"]
    start: Literal["default", "identity"] = "default"

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """(C_in, H, W, B) -> (features[-1], H, W, B)."""
        if self.start not in ("default", "identity"):
            raise ValueError(f"start must be 'default' or 'identity', got {self.start!r}")
        for i, features in enumerate(self.features):
            shape = (3, 3, x.shape[0], features)
            if self.start == "identity":
                kernel = self.param(f"kernel_{i}", identity_kernel, shape)
                bias = self.param(f"bias_{i}", nn.initializers.zeros, (features,))
            else:
                kernel, bias = affine(self, f"{i}", shape)
            x = conv(x, kernel, bias)
            if i < len(self.features) - 1:
                x = nn.relu(x)
        return {"relu": nn.relu, "tanh": jnp.tanh, "none": lambda x: x}[self.last](x)


def encode(encoders: Sequence[Encoder], x: Array) -> tuple[Array, ...]:
    """Outputs of several encoders for the same images (C_in, H, W, B).

    On a CPU the images are encoded a few at a time, so that their hidden layers stay in its
    caches, and these layers are computed again for gradients; encoders of one to sixteen channels then take half the
    time. Images that are larger than that are encoded together.
    """
    _, height, width, batch = x.shape
    pixels = sizes().encoder_pixels or x.size
    fitting = (n for n in range(1, batch + 1) if batch % n == 0 and n * height * width <= pixels)
    size = max(fitting, default=batch)
    if encoders[0].is_initializing() or size >= batch:
        return tuple(encoder(x) for encoder in encoders)
    modules, variables = zip(*(encoder.unbind() for encoder in encoders), strict=True)

    @partial(jax.checkpoint, prevent_cse=False)
    def of_chunk(variables: Any, x: Array) -> tuple[Array, ...]:
        return tuple(module.apply(values, x) for module, values in zip(modules, variables, strict=True))

    chunks = rearrange(x, "c h w (n b) -> n c h w b", b=size)
    encoded = lax.map(partial(of_chunk, variables), chunks)
    return tuple(rearrange(y, "n c h w b -> c h w (n b)") for y in encoded)


class PixelClassifier(nn.Module):
    """Dense layers at every pixel, relu between them.

    Attributes:
        features: F, of the input.
        hidden: units of the hidden layers.
        num_classes: K.
    """

    features: int
    hidden: tuple[int, ...]
    num_classes: int

    def setup(self) -> None:
        """Declare the parameters."""
        sizes = (self.features, *self.hidden, self.num_classes)
        self.layers: list[tuple[Array, Array]] = [
            affine(self, f"{i}", shape) for i, shape in enumerate(pairwise(sizes))
        ]

    def __call__(self, x: Array) -> Array:
        """Features (F, ...) -> logits (K, ...)."""
        return self.after_first(dense(x, *self.layers[0]))

    def after_first(self, x: Array) -> Array:
        """Output of the first layer before its relu, (hidden[0], ...) -> logits (K, ...)."""
        for kernel, bias in self.layers[1:]:
            x = dense(nn.relu(x), kernel, bias)
        return x

    def of_series(self, states: Array, time_kernel: Array) -> Array:
        """The linear readout and the first layer as one product: states (T, C, P) -> (hidden[0], P)."""
        (kernel, bias), (bins, channels) = self.layers[0], (time_kernel.shape[1], states.shape[1])
        by_bin = rearrange(kernel, "(b c) h -> b c h", b=bins, c=channels)
        both = jnp.einsum("tb,bch->tch", time_kernel, by_bin, precision=precision())
        return dense(rearrange(states, "t c p -> (t c) p"), rearrange(both, "t c h -> (t c) h"), bias)


class SeriesClassifier(nn.Module):
    """A readout of states over time and a classifier of every pixel.

    Attributes:
        how: the readout, see `oscnets.ops.readout`.
        channels, length: C and T of the states.
        hidden, num_classes: of the classifier.
        may_merge: a linear readout may be merged with the first layer, where the product of both is the smaller one.
    """

    how: How
    channels: int
    length: int
    hidden: tuple[int, ...]
    num_classes: int
    may_merge: bool = True

    def setup(self) -> None:
        """Declare the parameters."""
        bins = num_bins(self.how, self.length)
        if self.how == "linear":
            self.time_kernel: Array | None = self.param("time_kernel", torch_uniform, (self.length, bins))
        else:
            self.time_kernel = None
        self.classifier: PixelClassifier = PixelClassifier(bins * self.channels, self.hidden, self.num_classes)

    def read(self, states: Array) -> Array:
        """States (T, C, H, W, B) -> features (F, H, W, B): the readout, merged with the first layer or not."""
        if self._merged:
            _, _, height, width, _ = states.shape
            first = self.classifier.of_series(rearrange(states, "t c h w b -> t c (h w b)"), self.time_kernel)
            return rearrange(first, "f (h w b) -> f h w b", h=height, w=width)
        return readout_tchwb(states, self.how, self.time_kernel)

    def __call__(self, features: Array) -> Array:
        """Features (F, ...) -> logits (K, ...)."""
        return self.classifier.after_first(features) if self._merged else self.classifier(features)

    def num_features(self) -> int:
        """F."""
        return self.hidden[0] if self._merged else num_bins(self.how, self.length) * self.channels

    @property
    def _merged(self) -> bool:
        if self.how != "linear" or not self.hidden or not self.may_merge:
            return False
        bins, first = num_bins(self.how, self.length), self.hidden[0]
        return self.length * first < bins * (self.length + first)


def classify_pixels(head: nn.Module, features: Array) -> Array:
    """Logits (B, ..., K) of features (B, ..., F) by a head from (F, ...) to (K, ...)."""
    return rearrange(head(rearrange(features, "b ... f -> f ... b")), "k ... b -> b ... k")


def check_images(images: Array) -> None:
    """Raise ValueError for images that are not (B, H, W, C)."""
    if images.ndim != 4:
        raise ValueError(f"images must be (B, H, W, C), got shape {images.shape}")
