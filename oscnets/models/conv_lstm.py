"""Convolutional LSTM, read over time like the Neural Wave Machine (Jacobs et al., 2025, equations 10 to 15)."""

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from oscnets._products.layout import from_chwb, to_chwb
from oscnets.dynamics import unroll
from oscnets.models._program import run
from oscnets.models.pixel_head import (
    FEATURES,
    SEGMENTATION,
    Encoder,
    Features,
    Segmentation,
    SeriesClassifier,
    affine,
    check_images,
    classify_pixels,
    conv,
    dense,
    encode,
)
from oscnets.ops._readout import How

State = tuple[Array, Array, Array]  # u, s, c


def lstm_step(params: tuple[tuple[Array, Array], ...], state: State) -> State:
    """One step in the layout (C, H, W, B), circular at the edges (equations 10 to 15).

        i, f, g, o = W * (u, s) + b,   c = sig(f) c + sig(i) tanh(g),   s = sig(o) tanh(c),   u = M2 relu(M1 s)

    Args:
        params: (kernel, bias) of W (3, 3, 2 C, 4 C), M1 (C, 2 C) and M2 (2 C, C).
        state: output u, hidden s, cell c.
    """
    (gates, first, second), (u, s, c) = params, state
    i, f, g, o = jnp.split(conv(jnp.concatenate([u, s]), *gates, boundary="periodic"), 4)
    c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
    s = nn.sigmoid(o) * jnp.tanh(c)
    return dense(nn.relu(dense(s, *first)), *second), s, c


class ConvLSTM(nn.Module):
    """Pixelwise classifier by a recurrent network with local connections.

    Attributes:
        channels: C of output, hidden state and cell.
        num_classes: K, with the background.
        num_steps: T.
        readout, hidden, mid_channels: as for `NeuralWaveMachine`.
        checkpoint_every: of `oscnets.dynamics.unroll`. To recompute every step (1) takes less time than to store and
            read its intermediates (None).
    """

    channels: int = 2
    num_classes: int = 11
    num_steps: int = 20
    readout: How = "linear"
    hidden: tuple[int, ...] = (256, 256, 256)
    mid_channels: int = 16
    checkpoint_every: int | None = 1

    def setup(self) -> None:
        """Create the readout and the classifier."""
        self.head: SeriesClassifier = SeriesClassifier(
            self.readout, self.channels, self.num_steps, self.hidden, self.num_classes
        )

    def __call__(self, images: Array) -> Segmentation:
        """Run the steps and classify every pixel; arguments, output and errors as for `NeuralWaveMachine`."""
        return run(self, "_segment", {"images": images}, core=3, out=SEGMENTATION)

    def features(self, images: Array) -> Features:
        """Run the steps and read them; arguments and errors as for a call."""
        return run(self, "_features", {"images": images}, core=3, out=FEATURES)

    @nn.compact
    def _features(self, images: Array) -> Features:
        check_images(images)
        mid, channels, lead = self.mid_channels, self.channels, (len(images),)
        encoders = (
            Encoder((mid, mid, mid, channels), "tanh", name="output_encoder"),
            Encoder((mid, mid, channels), "none", name="hidden_encoder"),
            Encoder((mid, mid, channels), "none", name="cell_encoder"),
        )
        state = encode(encoders, to_chwb(images))
        shapes = {
            "gates": (3, 3, 2 * channels, 4 * channels),
            "first": (channels, 2 * channels),
            "second": (2 * channels, channels),
        }
        params = tuple(affine(self, name, shape) for name, shape in shapes.items())
        if self.is_initializing():  # All parameters exist by now, and to run the steps takes seconds.
            zeros = lambda *shape: jnp.zeros(shape, state[0].dtype)  # noqa: E731
            size = images.shape[:3]
            return Features(zeros(*size, self.head.num_features()), zeros(self.num_steps, *size, channels))
        _, outputs = unroll(
            lambda state: lstm_step(params, state),
            state,
            self.num_steps,
            collect=lambda state: state[0],
            checkpoint_every=self.checkpoint_every,
        )
        return Features(from_chwb(self.head.read(outputs), lead), from_chwb(outputs, lead))

    def classify_pixels(self, features: Array) -> Array:
        """Logits (n, ..., K) of `Features.pixels`, all of them (B, H, W, F) or some (n, F)."""
        return run(self, "_classify", {"features": features}, core=1, out=0)

    def _segment(self, images: Array) -> Segmentation:
        pixels, *rest = self._features(images)
        return Segmentation(self._classify(pixels), *rest)

    def _classify(self, features: Array) -> Array:
        return classify_pixels(self.head, features)
