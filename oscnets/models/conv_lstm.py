"""Convolutional LSTM, read over time like the Neural Wave Machine (Jacobs et al., 2025, equations 10 to 15)."""

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from oscnets._products.layout import from_chwb, to_chwb
from oscnets.dynamics import unroll
from oscnets.models.segmentation import (
    Encoder,
    PixelLoss,
    Segmentation,
    SeriesClassifier,
    affine,
    check_images,
    classify,
    conv,
    dense,
    encode,
)
from oscnets.ops._readout import How

State = tuple[Array, Array, Array]  # u, s, c


def lstm_step(params: tuple[tuple[Array, Array], ...], state: State) -> State:
    """One step in the inner layout (C, H, W, N), circular at the edges.

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
        readout, hidden, mid_channels: as for `WaveMachine`.
        checkpoint_every: of `oscnets.dynamics.unroll`. To compute a step again takes less time than to store and read
            what it leaves behind (1); None does the latter.
    """

    channels: int = 2
    num_classes: int = 11
    num_steps: int = 20
    readout: How = "linear"
    hidden: tuple[int, ...] = (256, 256, 256)
    mid_channels: int = 16
    checkpoint_every: int | None = 1

    @nn.compact
    def __call__(
        self, images: Array, *, pixel_loss: PixelLoss | None = None, targets: Array | None = None
    ) -> Segmentation:
        """Run the steps and classify every pixel; arguments and errors as for `WaveMachine`."""
        check_images(images, pixel_loss, targets)
        x = to_chwb(images)
        mid, channels = self.mid_channels, self.channels
        encoders = (
            Encoder((mid, mid, mid, channels), "tanh", name="output_encoder"),
            Encoder((mid, mid, channels), "none", name="hidden_encoder"),
            Encoder((mid, mid, channels), "none", name="cell_encoder"),
        )
        state = encode(encoders, x)
        shapes = {
            "gates": (3, 3, 2 * channels, 4 * channels),
            "first": (channels, 2 * channels),
            "second": (2 * channels, channels),
        }
        params = tuple(affine(self, name, shape) for name, shape in shapes.items())
        head = SeriesClassifier(self.readout, channels, self.num_steps, self.hidden, self.num_classes, name="head")
        if self.is_initializing():  # What follows takes seconds to compile.
            head.declare()
            return Segmentation(None)
        _, outputs = unroll(
            lambda state: lstm_step(params, state),
            state,
            self.num_steps,
            collect=lambda state: state[0],
            checkpoint_every=self.checkpoint_every,
        )
        prepared = head.prepare(outputs)
        logits, loss = classify(head, prepared, method="classify", pixel_loss=pixel_loss, targets=targets)
        return Segmentation(logits, from_chwb(outputs, (len(images),)), loss)
