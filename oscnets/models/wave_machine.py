"""Neural Wave Machine: waves between coupled oscillators, read over time (Jacobs et al., 2025, equation 9)."""

from typing import Literal, get_args

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from oscnets._products.layout import from_chwb, to_chwb
from oscnets.dynamics import waves
from oscnets.models._program import run
from oscnets.models.init import laplace_kernel
from oscnets.models.pixel_head import (
    FEATURES,
    SEGMENTATION,
    Encoder,
    Features,
    Segmentation,
    SeriesClassifier,
    check_images,
    classify_pixels,
    encode,
)
from oscnets.ops import streaming_readout
from oscnets.ops._readout import How

Gradient = Literal["store", "checkpoint", "reverse", "auto"]
Keep = Literal["states", "readout"]


class NeuralWaveMachine(nn.Module):
    """Pixelwise classifier by the waves that an image sets off.

    Squared frequencies omega, damping alpha and the first positions are local functions of the image; velocities start
    at 0. The dynamics have circular edges, the encoders zeros beyond the image. A call is `features`, then
    `classify_pixels`. A loss over pixels is best taken of these two, by `oscnets.losses.mean_over_pixels`: no hidden
    layer of a pixel is stored then.

    Attributes:
        channels: C, oscillators per pixel.
        num_classes: K, with the background.
        num_steps: T.
        dt: the time step.
        readout: last, mean, max, fft or linear, see `oscnets.ops.readout`.
        hidden: units of the pixel classifier's hidden layers; the paper has (256, 256, 256), on Multi-MNIST (32,) * 5.
        mid_channels: of the encoders.
        omega_start: "default" starts the frequency encoder as PyTorch would, as the published runs do; "identity" at
            the image itself (channel o is image channel o mod C_in), as the paper describes.
        implicit_damping: see `oscnets.dynamics.waves.oscillator_step`.
        gradient: three memory/compute trade-offs. "store" keeps all states; "checkpoint" keeps the state of every
            `checkpoint_every`-th step and recomputes; "reverse" inverts the steps while damping is weak enough (the
            output's `inverted` says whether); "auto" is one of the first two, by size. See
            `oscnets.dynamics.waves.oscillator_trajectory`.
        checkpoint_every: of "checkpoint"; None is the square root of T.
        keep: "states" keeps the states of all steps; "readout" sums the readout up over time instead (not for fft).
            With "checkpoint" or "reverse", memory then grows with the square root of T, or not with T.
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
    gradient: Gradient = "store"
    checkpoint_every: int | None = None
    keep: Keep = "states"

    def setup(self) -> None:
        """Create the readout and the classifier."""
        sizes = (self.channels, self.num_steps, self.hidden, self.num_classes)
        self.head: SeriesClassifier = SeriesClassifier(self.readout, *sizes, may_merge=self.keep == "states")

    def __call__(self, images: Array) -> Segmentation:
        """Run the waves and classify every pixel.

        Args:
            images: (B, H, W, C_in).

        Returns:
            `Segmentation`. While a module is initialized, states and features are 0, in their shapes and types: to run
            the waves takes seconds.

        Raises:
            ValueError: images that are not 4-D, an unknown readout, gradient, keep or start, fft with keep="readout",
                checkpoint_every without gradient="checkpoint".
        """
        return run(self, "_segment", {"images": images}, core=3, out=SEGMENTATION)

    def features(self, images: Array) -> Features:
        """Run the waves and read them; arguments and errors as for a call."""
        return run(self, "_features", {"images": images}, core=3, out=FEATURES)

    @nn.compact
    def _features(self, images: Array) -> Features:
        self._check(images)
        x, lead = to_chwb(images), (len(images),)
        mid, channels = self.mid_channels, self.channels
        encoders = (
            Encoder((mid, mid, mid, channels), "tanh", name="position_encoder"),
            Encoder((mid, mid, channels), "relu", self.omega_start, name="omega_encoder"),
            Encoder((mid, mid, channels), "relu", name="damping_encoder"),
        )
        position, omega, damping = encode(encoders, x)
        kernel = self.param("kernel", lambda _: laplace_kernel(channels))
        reduce = None
        if self.keep == "readout":
            reduce = streaming_readout(self.readout, self.num_steps, kernel=self.head.time_kernel)
        if self.is_initializing():
            return self._zeros(position)
        # The barrier keeps the time step an array: jax 0.7 makes a literal of a constant, which has no negative.
        dt = jax.lax.optimization_barrier(jnp.asarray(self.dt, position.dtype))
        out = waves.oscillator_trajectory_chwb(
            (kernel, omega, damping, dt),
            (position, jnp.zeros_like(position)),
            num_steps=self.num_steps,
            implicit_damping=self.implicit_damping,
            gradient=self.gradient,
            checkpoint_every=self.checkpoint_every,
            reduce=reduce,
        )
        if self.keep == "readout":
            return Features(from_chwb(out.positions, lead), None, out.inverted)
        return Features(from_chwb(self.head.read(out.positions), lead), from_chwb(out.positions, lead), out.inverted)

    def classify_pixels(self, features: Array) -> Array:
        """Logits (n, ..., K) of `Features.pixels`, all of them (B, H, W, F) or some (n, F)."""
        return run(self, "_classify", {"features": features}, core=1, out=0)

    def _segment(self, images: Array) -> Segmentation:
        pixels, *rest = self._features(images)
        return Segmentation(self._classify(pixels), *rest)

    def _classify(self, features: Array) -> Array:
        return classify_pixels(self.head, features)

    def _zeros(self, position: Array) -> Features:
        """Features of zeros, in the shapes and types of those that a position (C, H, W, B) starts."""
        channels, height, width, batch = position.shape
        zeros = lambda *shape: jnp.zeros(shape, position.dtype)  # noqa: E731
        states = zeros(self.num_steps, batch, height, width, channels) if self.keep == "states" else None
        inverted = jnp.zeros((), bool) if self.gradient == "reverse" else None
        return Features(zeros(batch, height, width, self.head.num_features()), states, inverted)

    def _check(self, images: Array) -> None:
        check_images(images)
        for name, choices in (("gradient", get_args(Gradient)), ("keep", get_args(Keep))):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}")
        if self.checkpoint_every is not None and self.gradient != "checkpoint":
            raise ValueError(f"checkpoint_every needs gradient='checkpoint', got {self.gradient!r}")
