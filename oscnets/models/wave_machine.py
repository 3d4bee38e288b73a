"""Neural Wave Machine: waves between coupled oscillators, read over time (Jacobs et al., 2025, equation 9)."""

from typing import Literal

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from oscnets._products.layout import from_chwb, to_chwb
from oscnets.dynamics import waves
from oscnets.models.segmentation import (
    Encoder,
    PixelLoss,
    Segmentation,
    SeriesClassifier,
    check_images,
    classify,
    encode,
)
from oscnets.ops import streaming_readout
from oscnets.ops._readout import How

LAPLACE = ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0))


def laplace_kernel(channels: int) -> Array:
    """The five-point Laplacian of each channel alone, (3, 3, channels, channels)."""
    return jnp.asarray(LAPLACE)[:, :, None, None] * jnp.eye(channels)


class WaveMachine(nn.Module):
    """Pixelwise classifier by the waves that an image sets off.

    Squared frequencies omega, damping alpha and the first positions are local functions of the image; velocities start
    at 0. The dynamics have circular edges, the encoders zeros beyond the image.

    Attributes:
        channels: C, oscillators a pixel.
        num_classes: K, with the background.
        num_steps: T.
        dt: the time step.
        readout: last, mean, max, fft or linear, see `oscnets.ops.readout`.
        hidden: units of the pixel classifier's hidden layers; the paper has (256, 256, 256), on Multi-MNIST (32,) * 5.
        mid_channels: of the encoders.
        omega_start: "default" starts the frequency encoder as PyTorch would, as the published runs do; "identity" at
            the image itself (channel o shows image channel o mod C_in), as the paper describes.
        implicit_damping: see `oscnets.dynamics.waves.oscillator_step`.
        memory: of the gradients. "store" keeps all states; "checkpoint" every sqrt(T)-th or `checkpoint_every`-th, and
            recomputes; "reverse" undoes the steps while damping is weak enough (the output's `inverted` says whether).
        checkpoint_every: see `memory`.
        stream: sums the readout up over time instead of keeping the states (not for fft). With "checkpoint" or
            "reverse", memory then does not grow with the number of steps, or with its root.
    """

    channels: int = 2
    num_classes: int = 11
    num_steps: int = 100
    dt: float = 0.1
    readout: How = "linear"
    hidden: tuple[int, ...] = (256, 256, 256)
    mid_channels: int = 16
    omega_start: Literal["default", "identity"] = "default"
    implicit_damping: bool = False
    memory: Literal["store", "checkpoint", "reverse"] = "store"
    checkpoint_every: int | None = None
    stream: bool = False

    @nn.compact
    def __call__(
        self, images: Array, *, pixel_loss: PixelLoss | None = None, targets: Array | None = None
    ) -> Segmentation:
        """Run the waves and classify every pixel.

        Args:
            images: (B, H, W, C_in).
            pixel_loss: (logits (n, K), targets (n, ...)) -> (n,); its mean over all pixels is then returned as `loss`,
                with its gradient taken chunk by chunk of pixels in the same pass; the logits carry none then.
            targets: (B, H, W, ...), handed to the loss.

        Raises:
            ValueError: images that are not 4-D, targets that do not fit them, an unknown readout, memory or start, a
                stream of fft.
        """
        check_images(images, pixel_loss, targets)
        if self.memory not in ("store", "checkpoint", "reverse"):
            raise ValueError(f"memory must be 'store', 'checkpoint' or 'reverse', got {self.memory!r}")
        x = to_chwb(images)
        mid, channels = self.mid_channels, self.channels
        encoders = (
            Encoder((mid, mid, mid, channels), "tanh", name="position_encoder"),
            Encoder((mid, mid, channels), "relu", self.omega_start, name="omega_encoder"),
            Encoder((mid, mid, channels), "relu", name="damping_encoder"),
        )
        position, omega, damping = encode(encoders, x)
        kernel = self.param("kernel", lambda _: laplace_kernel(channels))
        head = SeriesClassifier(self.readout, channels, self.num_steps, self.hidden, self.num_classes, name="head")
        reader = streaming_readout(self.readout, self.num_steps) if self.stream else None
        if self.is_initializing():  # What follows takes seconds to compile.
            head.declare()
            return Segmentation(None)
        every = self.checkpoint_every
        if self.memory == "checkpoint" and every is None:
            every = round(self.num_steps**0.5)
        out = waves.oscillator_trajectory_chwb(
            (kernel, omega, damping, jnp.asarray(self.dt, position.dtype)),
            (position, jnp.zeros_like(position)),
            num_steps=self.num_steps,
            implicit_damping=self.implicit_damping,
            checkpoint_every=every if self.memory == "checkpoint" else None,
            reversible=self.memory == "reverse",
            reader=reader,
            weights=head.time_kernel if self.stream else None,
        )
        if self.stream:
            inputs, method = out.positions, "classify_features"
        else:
            inputs, method = head.prepare(out.positions), "classify"
        logits, loss = classify(head, inputs, method=method, pixel_loss=pixel_loss, targets=targets)
        states = None if self.stream else from_chwb(out.positions, (len(images),))
        return Segmentation(logits, states, loss, out.inverted)
