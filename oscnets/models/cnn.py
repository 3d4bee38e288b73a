"""Convolutional baseline of the Neural Wave Machine (Jacobs et al., 2025, equation 16)."""

from flax import linen as nn
from jax import Array

from oscnets._products.layout import from_chwb, to_chwb
from oscnets.models._program import run
from oscnets.models.pixel_head import (
    FEATURES,
    SEGMENTATION,
    Features,
    PixelClassifier,
    Segmentation,
    affine,
    check_images,
    classify_pixels,
    conv,
    dense,
)


class CNN(nn.Module):
    """Convolutions 3x3 without pooling, and a classifier of every pixel; its receptive field grows with its depth.

    Attributes:
        depth: L, number of convolutions; their receptive field is 2 L + 1 pixels wide.
        channels: of all but the last.
        out_channels: of the last.
        bins: features per channel that a 1x1 map makes of these, as many as a readout over time would.
        hidden, num_classes: of the classifier.
    """

    depth: int = 8
    channels: int = 16
    out_channels: int = 2
    bins: int = 49
    hidden: tuple[int, ...] = (256, 256, 256)
    num_classes: int = 11

    def setup(self) -> None:
        """Create the classifier."""
        self.head: PixelClassifier = PixelClassifier(self.bins * self.out_channels, self.hidden, self.num_classes)

    def __call__(self, images: Array) -> Segmentation:
        """Classify every pixel of images (B, H, W, C_in)."""
        return run(self, "_segment", {"images": images}, core=3, out=SEGMENTATION)

    def features(self, images: Array) -> Features:
        """Features of every pixel; arguments as for a call.

        Raises:
            ValueError: images that are not 4-D, a depth below 1.
        """
        return run(self, "_features", {"images": images}, core=3, out=FEATURES)

    @nn.compact
    def _features(self, images: Array) -> Features:
        check_images(images)
        if self.depth < 1:
            raise ValueError(f"depth must be >= 1, got {self.depth}")
        x = to_chwb(images)
        for i in range(self.depth):
            c_out = self.channels if i < self.depth - 1 else self.out_channels
            x = nn.relu(conv(x, *affine(self, f"{i}", (3, 3, x.shape[0], c_out))))
        x = dense(x, *affine(self, "features", (self.out_channels, self.bins * self.out_channels)))
        return Features(from_chwb(x, (len(images),)))

    def classify_pixels(self, features: Array) -> Array:
        """Logits (n, ..., K) of `Features.pixels`, all of them (B, H, W, F) or some (n, F)."""
        return run(self, "_classify", {"features": features}, core=1, out=0)

    def _segment(self, images: Array) -> Segmentation:
        pixels, *rest = self._features(images)
        return Segmentation(self._classify(pixels), *rest)

    def _classify(self, features: Array) -> Array:
        return classify_pixels(self.head, features)
