"""U-Net baseline of the Neural Wave Machine (Jacobs et al., 2025)."""

import jax.numpy as jnp
from einops import rearrange
from flax import linen as nn
from jax import Array

from oscnets._inputs import precision
from oscnets._products.layout import from_chwb, to_chwb
from oscnets._products.stencil import stencil_sum
from oscnets.models._program import run
from oscnets.models.batch_norm import BatchNorm
from oscnets.models.init import torch_bias, torch_uniform
from oscnets.models.pixel_head import (
    FEATURES,
    SEGMENTATION,
    Features,
    PixelClassifier,
    Segmentation,
    check_images,
    classify_pixels,
)


class DoubleConv(nn.Module):
    """Twice: convolution 3x3 without bias, batch norm, relu."""

    features: int

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """(C, H, W, B) -> (features, H, W, B)."""
        for i in range(2):
            kernel = self.param(f"kernel_{i}", torch_uniform, (3, 3, x.shape[0], self.features))
            x = nn.relu(BatchNorm(name=f"norm_{i}")(stencil_sum(x, kernel, boundary="clamped"), train=train))
        return x


class UNet(nn.Module):
    """Four halvings and four doublings of the resolution with skips, widths m, 2m, 4m, 8m, 16m.

    Attributes:
        width: m.
        num_classes: K, with the background.
    """

    width: int = 4
    num_classes: int = 11

    def setup(self) -> None:
        """Create the classifier."""
        self.head: PixelClassifier = PixelClassifier(self.width, (), self.num_classes)

    def __call__(self, images: Array, *, train: bool = False) -> Segmentation:
        """Classify every pixel.

        Args:
            images: (B, H, W, C_in), at least 16 x 16; sizes that do not halve evenly lose their last row or column on
                the way down and get zeros for it on the way up.
            train: normalize by the batch, and move the running statistics (`mutable=["batch_stats"]`).

        Raises:
            ValueError: images that are not 4-D or too small.
        """
        return run(self, "_segment", {"images": images}, core=3, out=SEGMENTATION, train=train)

    def features(self, images: Array, *, train: bool = False) -> Features:
        """Features of every pixel; arguments and errors as for a call."""
        return run(self, "_features", {"images": images}, core=3, out=FEATURES, train=train)

    @nn.compact
    def _features(self, images: Array, *, train: bool) -> Features:
        check_images(images)
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
        return Features(from_chwb(x, (len(images),)))

    def classify_pixels(self, features: Array) -> Array:
        """Logits (n, ..., K) of `Features.pixels`, all of them (B, H, W, F) or some (n, F)."""
        return run(self, "_classify", {"features": features}, core=1, out=0)

    def _segment(self, images: Array, *, train: bool) -> Segmentation:
        return Segmentation(self._classify(self._features(images, train=train).pixels))

    def _classify(self, features: Array) -> Array:
        return classify_pixels(self.head, features)

    def _up(self, i: int, shape: tuple[int, ...]) -> tuple[Array, Array]:
        """Kernel and bias as PyTorch starts a transposed convolution: by the fan of its output channels."""
        init = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform", in_axis=-1, out_axis=-2)
        bias = torch_bias((*shape[:2], shape[3], shape[2]))
        return self.param(f"kernel_up_{i}", init, shape), self.param(f"bias_up_{i}", bias, shape[3:])


def _halve(x: Array) -> Array:
    """Maximum over squares of two by two; an odd last row or column is dropped."""
    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    # Not max over two axes: its gradient divides by the number of equal maxima, which is 0 where XLA computes x again
    # with another rounding.
    rows = jnp.maximum(x[:, :height:2], x[:, 1:height:2])
    return jnp.maximum(rows[:, :, :width:2], rows[:, :, 1:width:2])


def _double(x: Array, kernel: Array, bias: Array) -> Array:
    """Transposed convolution 2x2 of stride 2: every pixel becomes a square of two by two."""
    _, height, width, _ = x.shape
    matrix = rearrange(kernel, "i j c o -> (o i j) c")
    squares = jnp.matmul(matrix, rearrange(x, "c h w b -> c (h w b)"), precision=precision())
    out = rearrange(squares, "(o i j) (h w b) -> o (h i) (w j) b", i=2, j=2, h=height, w=width)
    return out + bias[:, None, None, None]


def _pad_to(x: Array, shape: tuple[int, ...]) -> Array:
    """Zeros around (C, H, W, B) up to the height and width of another shape."""
    missing = [to - of for to, of in zip(shape[1:3], x.shape[1:3], strict=True)]
    return jnp.pad(x, [(0, 0), *((n // 2, n - n // 2) for n in missing), (0, 0)])
