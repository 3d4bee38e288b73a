"""What segmenters share: the encoder of an image, the classifier of a pixel, losses over chunks of pixels.

Inner layout (C, H, W, N) throughout; a pixel's features are a column of a matrix (F, P).
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array, lax

from oscnets._products.layout import from_chwb
from oscnets._products.stencil import Boundary, stencil_sum
from oscnets.dynamics import sum_over
from oscnets.models.init import torch_bias, torch_uniform
from oscnets.ops._readout import How, num_bins, readout_tchwb

PixelLoss = Callable[[Array, Array], Array]  # (logits (n, K), targets (n, ...)) -> (n,)
CHUNK = 4096  # pixels whose hidden layers stay in a core's cache
CACHED = 8192  # pixels whose encoders' layers do


class Segmentation(NamedTuple):
    """What a segmenter gives."""

    logits: Array | None  # (B, H, W, K); None while a module is initialized
    states: Array | None = None  # (T, B, H, W, C) after every step; None without dynamics, or where they are not kept
    loss: Array | None = None  # mean of `pixel_loss` over all pixels, where one was given
    inverted: Array | None = None  # () bool: gradients undo the steps; None unless that was asked for


def affine(module: nn.Module, name: str, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Declare `kernel_NAME` (..., C_in, C_out) and `bias_NAME` (C_out,), as PyTorch starts them."""
    kernel = module.param(f"kernel_{name}", torch_uniform, shape)
    return kernel, module.param(f"bias_{name}", torch_bias(shape), shape[-1:])


def conv(x: Array, kernel: Array, bias: Array, boundary: Boundary = "clamped") -> Array:
    """(C_in, H, W, N) -> (C_out, H, W, N)."""
    return stencil_sum(x, kernel, boundary=boundary) + bias[:, None, None, None]


def dense(x: Array, kernel: Array, bias: Array) -> Array:
    """(F, ...) -> (units, ...), the same at every pixel."""
    out = jnp.matmul(kernel.T, x.reshape(len(x), -1), precision="highest")
    return out.reshape(-1, *x.shape[1:]) + bias.reshape(-1, *[1] * (x.ndim - 1))


def identity_kernel(_: Array, shape: tuple[int, ...], dtype: Any = float) -> Array:
    """Of a convolution (kh, kw, C_in, C_out) that passes on channel o mod C_in as channel o."""
    height, width, c_in, c_out = shape
    passed = jnp.arange(c_in)[:, None] == jnp.arange(c_out) % c_in
    return jnp.zeros(shape, dtype).at[height // 2, width // 2].set(passed.astype(dtype))


class Encoder(nn.Module):
    """Convolutions 3x3 with zero padding, relu between them.

    Attributes:
        features: channels of each layer.
        last: what follows the last layer.
        start: "default" is PyTorch's; "identity" passes the image through (`identity_kernel`, biases of 0).
    """

    features: tuple[int, ...]
    last: Literal["relu", "tanh", "none"]
    start: Literal["default", "identity"] = "default"

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """(C_in, H, W, N) -> (features[-1], H, W, N)."""
        if self.start not in ("default", "identity"):
            raise ValueError(f"an encoder starts as 'default' or 'identity', got {self.start!r}")
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
    """What several encoders make of the same images (C_in, H, W, N).

    On a CPU as few small images are encoded at a time as leave their inner layers in its caches, and these layers are
    computed again for gradients; encoders of one to sixteen channels then take half the time. Images too large for that
    are encoded together.
    """
    _, height, width, batch = x.shape
    fitting = (n for n in range(1, batch + 1) if batch % n == 0 and n * height * width <= CACHED)
    size = max(fitting, default=batch)
    if encoders[0].is_initializing() or size >= batch or jax.default_backend() != "cpu":
        return tuple(encoder(x) for encoder in encoders)
    modules, variables = zip(*(encoder.unbind() for encoder in encoders), strict=True)

    @partial(jax.checkpoint, prevent_cse=False)
    def of_some(variables: Any, x: Array) -> tuple[Array, ...]:
        return tuple(module.apply(values, x) for module, values in zip(modules, variables, strict=True))

    some = jnp.moveaxis(x.reshape(*x.shape[:-1], -1, size), 3, 0)
    encoded = lax.map(partial(of_some, variables), some)
    return tuple(jnp.moveaxis(y, 0, 3).reshape(*y.shape[1:-1], batch) for y in encoded)


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
        """Features (F, P) -> logits (K, P)."""
        return self.after_first(dense(x, *self.layers[0]))

    def after_first(self, x: Array) -> Array:
        """What the first layer gave, before its relu, (hidden[0], P) -> logits (K, P)."""
        for kernel, bias in self.layers[1:]:
            x = dense(nn.relu(x), kernel, bias)
        return x

    def of_series(self, states: Array, time_kernel: Array) -> Array:
        """The linear readout and the first layer as one product: states (T, C, P) -> (hidden[0], P)."""
        (kernel, bias), (bins, channels) = self.layers[0], (time_kernel.shape[1], states.shape[1])
        both = jnp.einsum("tb,bch->tch", time_kernel, kernel.reshape(bins, channels, -1), precision="highest")
        return dense(states.reshape(-1, states.shape[-1]), both.reshape(-1, both.shape[-1]), bias)


class SeriesClassifier(nn.Module):
    """A readout of states over time and a classifier of every pixel.

    Attributes:
        how: the readout, see `oscnets.ops.readout`.
        channels, length: C and T of the states.
        hidden, num_classes: of the classifier.
    """

    how: How
    channels: int
    length: int
    hidden: tuple[int, ...]
    num_classes: int

    def setup(self) -> None:
        """Declare the parameters."""
        bins = num_bins(self.how, self.length)
        if self.how == "linear":
            self.time_kernel: Array | None = self.param("time_kernel", torch_uniform, (self.length, bins))
        else:
            self.time_kernel = None
        self.classifier: PixelClassifier = PixelClassifier(bins * self.channels, self.hidden, self.num_classes)

    def declare(self) -> None:
        """Make all parameters exist, without running anything."""
        _ = self.time_kernel, self.classifier.layers

    def prepare(self, states: Array) -> Array:
        """What is done for all pixels at once: states (T, C, ...) -> features, or what the first layer gives.

        A linear readout is followed by a linear layer. Where the product of both is the smaller one, it is formed.
        """
        if self._merged:
            first = self.classifier.of_series(states.reshape(*states.shape[:2], -1), self.time_kernel)
            return first.reshape(-1, *states.shape[2:])
        return readout_tchwb(states, self.how, self.time_kernel)

    def classify(self, prepared: Array) -> Array:
        """(..., P) of `prepare` -> logits (K, P)."""
        return self.classifier.after_first(prepared) if self._merged else self.classifier(prepared)

    def classify_features(self, features: Array) -> Array:
        """Features (F, P) -> logits (K, P)."""
        return self.classifier(features)

    @property
    def _merged(self) -> bool:
        if self.how != "linear" or not self.hidden:
            return False
        bins, first = num_bins(self.how, self.length), self.hidden[0]
        return self.length * first < bins * (self.length + first)


def classify(
    classifier: nn.Module,
    inputs: Array,
    *,
    method: str | None = None,
    pixel_loss: PixelLoss | None = None,
    targets: Array | None = None,
) -> tuple[Array, Array | None]:
    """Logits of every pixel, and their mean loss.

    With a loss, the pixels are taken in chunks, and each chunk's gradient in the same pass as its value, so that no
    hidden layer is stored.

    Args:
        classifier: bound module; its method maps (F, P) to (K, P).
        inputs: (F, H, W, N).
        method: of the classifier; None calls it.
        pixel_loss: (logits (n, K), targets (n, ...)) -> (n,).
        targets: (N, H, W, ...), handed to the loss.

    Returns:
        Logits (N, H, W, K), without gradient if there is a loss; the loss, () or None.
    """
    module, variables = classifier.unbind()
    _, height, width, batch = inputs.shape
    run = lambda variables, x: module.apply(variables, x, method=method)  # noqa: E731
    flat = inputs.reshape(len(inputs), -1)
    if pixel_loss is None:
        logits, loss = run(variables, flat), None
    else:
        pixels = flat.shape[1]
        size = max(n for n in range(1, min(CHUNK, pixels) + 1) if pixels % n == 0)

        def of_chunk(variables: Any, x: Array, targets: Array) -> tuple[Array, Array]:
            logits = run(variables, x)
            return pixel_loss(logits.T, targets).sum(), logits

        targets = jnp.moveaxis(targets, 0, 2)
        targets = targets.reshape(-1, size, *targets.shape[3:])
        total, logits = sum_over(of_chunk, variables, jnp.moveaxis(flat.reshape(len(flat), -1, size), 1, 0), targets)
        logits, loss = jnp.moveaxis(logits, 0, 1), total / pixels
    return from_chwb(logits.reshape(-1, height, width, batch), (batch,)), loss


def check_images(images: Array, pixel_loss: PixelLoss | None, targets: Array | None) -> None:
    """Raise ValueError for images that are not (B, H, W, C), or a loss whose targets do not fit them."""
    if images.ndim != 4:
        raise ValueError(f"images must be (B, H, W, C), got shape {images.shape}")
    if (pixel_loss is None) != (targets is None):
        raise ValueError("pixel_loss and targets come together, got one of them")
    if targets is not None and targets.shape[:3] != images.shape[:3]:
        raise ValueError(f"targets must be (B, H, W, ...) = {images.shape[:3]}, got {targets.shape}")
