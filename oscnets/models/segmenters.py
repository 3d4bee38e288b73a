"""Feedforward segmenters that the recurrent ones are compared with (Jacobs et al., 2025)."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from oscnets._products.layout import to_chwb
from oscnets._products.stencil import stencil_sum
from oscnets.models.init import torch_bias, torch_uniform
from oscnets.models.segmentation import (
    PixelClassifier,
    PixelLoss,
    Segmentation,
    affine,
    check_images,
    classify,
    conv,
    dense,
)


class CNN(nn.Module):
    """Convolutions 3x3 without any pooling, and a classifier of every pixel: what it sees grows with its depth.

    Attributes:
        depth: L, number of convolutions; their receptive field is 2 L + 1 pixels wide.
        channels: of all but the last.
        out_channels: of the last.
        bins: features a channel that a 1x1 map makes of these, as many as a readout over time would.
        hidden, num_classes: of the classifier.
    """

    depth: int = 8
    channels: int = 16
    out_channels: int = 2
    bins: int = 49
    hidden: tuple[int, ...] = (256, 256, 256)
    num_classes: int = 11

    @nn.compact
    def __call__(
        self, images: Array, *, pixel_loss: PixelLoss | None = None, targets: Array | None = None
    ) -> Segmentation:
        """Classify every pixel; arguments and errors as for `WaveMachine`."""
        check_images(images, pixel_loss, targets)
        if self.depth < 1:
            raise ValueError(f"depth must be >= 1, got {self.depth}")
        x = to_chwb(images)
        for i in range(self.depth):
            c_out = self.channels if i < self.depth - 1 else self.out_channels
            x = nn.relu(conv(x, *affine(self, f"{i}", (3, 3, x.shape[0], c_out))))
        features = self.bins * self.out_channels
        x = dense(x, *affine(self, "features", (self.out_channels, features)))
        head = PixelClassifier(features, self.hidden, self.num_classes, name="head")
        if self.is_initializing():
            _ = head.layers
            return Segmentation(None)
        logits, loss = classify(head, x, pixel_loss=pixel_loss, targets=targets)
        return Segmentation(logits, loss=loss)


class BatchNorm(nn.Module):
    """Zero mean and unit variance a channel of (C, H, W, N), then scale and shift.

    In training by the batch's own biased variance, and the running statistics (collection `batch_stats`) move by a
    tenth, with the unbiased variance, as PyTorch's do; else by the running statistics.
    """

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Shape-preserving; epsilon 1e-5."""
        size = x.shape[:1]
        mean = self.variable("batch_stats", "mean", jnp.zeros, size, x.dtype)
        variance = self.variable("batch_stats", "variance", jnp.ones, size, x.dtype)
        used = (mean.value, variance.value)
        if train:
            used = (x.mean((1, 2, 3)), x.var((1, 2, 3)))
            if not self.is_initializing():
                count = x[0].size
                mean.value += 0.1 * (used[0] - mean.value)
                variance.value += 0.1 * (used[1] * count / max(count - 1, 1) - variance.value)
        scale = self.param("scale", nn.initializers.ones, size)
        shift = self.param("shift", nn.initializers.zeros, size)
        factor = scale * jax.lax.rsqrt(used[1] + 1e-5)
        wide = lambda a: a[:, None, None, None]  # noqa: E731
        return (x - wide(used[0])) * wide(factor) + wide(shift)


class DoubleConv(nn.Module):
    """Twice: convolution 3x3 without bias, batch norm, relu."""

    features: int

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """(C, H, W, N) -> (features, H, W, N)."""
        for i in range(2):
            kernel = self.param(f"kernel_{i}", torch_uniform, (3, 3, x.shape[0], self.features))
            x = nn.relu(BatchNorm(name=f"norm_{i}")(stencil_sum(x, kernel, boundary="clamped"), train=train))
        return x


class UNet(nn.Module):
    """Four halvings and four doublings with skips, widths m, 2m, 4m, 8m, 16m.

    Attributes:
        width: m.
        num_classes: K, with the background.
    """

    width: int = 4
    num_classes: int = 11

    @nn.compact
    def __call__(
        self,
        images: Array,
        *,
        train: bool = False,
        pixel_loss: PixelLoss | None = None,
        targets: Array | None = None,
    ) -> Segmentation:
        """Classify every pixel.

        Args:
            images: (B, H, W, C_in), at least 16 x 16; sizes that do not halve evenly lose their last row or column on
                the way down and get zeros for it on the way up.
            train: normalize by the batch, and move the running statistics (`mutable=["batch_stats"]`).
            pixel_loss, targets: as for `WaveMachine`.

        Raises:
            ValueError: images that are not 4-D or too small, targets that do not fit them.
        """
        check_images(images, pixel_loss, targets)
        if min(images.shape[1:3]) < 16:
            raise ValueError(f"images must be at least 16 x 16 to be halved four times, got {images.shape}")
        levels = [DoubleConv(self.width, name="down_0")(to_chwb(images), train=train)]
        for i in range(1, 5):
            levels.append(DoubleConv(self.width * 2**i, name=f"down_{i}")(_halve(levels[-1]), train=train))
        x = levels.pop()
        for i in reversed(range(4)):
            skip, width = levels.pop(), self.width * 2**i
            x = _pad_to(_double(x, *self._up(i, (2, 2, 2 * width, width))), skip.shape)
            x = DoubleConv(width, name=f"up_{i}")(jnp.concatenate([skip, x]), train=train)
        head = PixelClassifier(self.width, (), self.num_classes, name="head")
        if self.is_initializing():
            _ = head.layers
            return Segmentation(None)
        logits, loss = classify(head, x, pixel_loss=pixel_loss, targets=targets)
        return Segmentation(logits, loss=loss)

    def _up(self, i: int, shape: tuple[int, ...]) -> tuple[Array, Array]:
        """Kernel and bias as PyTorch starts a transposed convolution: by the fan of its output channels."""
        init = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform", in_axis=-1, out_axis=-2)
        bias = torch_bias((*shape[:2], shape[3], shape[2]))
        return self.param(f"kernel_up_{i}", init, shape), self.param(f"bias_up_{i}", bias, shape[3:])


def _halve(x: Array) -> Array:
    """Maximum over squares of two by two; an odd last row or column is left out."""
    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    # Not max over two axes: its gradient divides by how many are the largest, none where XLA computes x again and
    # rounds otherwise.
    rows = jnp.maximum(x[:, :height:2], x[:, 1:height:2])
    return jnp.maximum(rows[:, :, :width:2], rows[:, :, 1:width:2])


def _double(x: Array, kernel: Array, bias: Array) -> Array:
    """Transposed convolution 2x2 of stride 2: every pixel becomes a square of its own."""
    c_in, height, width, batch = x.shape
    c_out = kernel.shape[-1]
    matrix = kernel.transpose(3, 0, 1, 2).reshape(-1, c_in)
    squares = jnp.matmul(matrix, x.reshape(c_in, -1), precision="highest").reshape(c_out, 2, 2, height, width, batch)
    out = squares.transpose(0, 3, 1, 4, 2, 5).reshape(c_out, 2 * height, 2 * width, batch)
    return out + bias[:, None, None, None]


def _pad_to(x: Array, shape: tuple[int, ...]) -> Array:
    """Zeros around (C, H, W, N) up to the height and width of another shape."""
    missing = [to - of for to, of in zip(shape[1:3], x.shape[1:3], strict=True)]
    return jnp.pad(x, [(0, 0), *((n // 2, n - n // 2) for n in missing), (0, 0)])
