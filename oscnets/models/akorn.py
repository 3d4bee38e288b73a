"""AKOrN: networks of oscillators on spheres (Miyato, Löwe, Geiger and Welling, 2025).

One stack of Kuramoto layers with three heads: Sudoku, the discovery of objects, classification.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from einops import rearrange
from flax import linen as nn
from jax import Array

from oscnets._inputs import precision, whole_number
from oscnets.models._program import run
from oscnets.models.attention import position_table
from oscnets.models.batch_norm import BatchNorm
from oscnets.models.init import torch_bias, torch_uniform
from oscnets.models.iterated import DIGITS, check_boards
from oscnets.models.kuramoto_layer import KuramotoLayer, NormReadout, Synchronized
from oscnets.ops import conv

HEADS = ("sudoku", "discovery", "classification")


class Oscillations(NamedTuple):
    """Output of AKOrN; the tuples have one entry for each layer."""

    logits: Array  # sudoku (B, 9, 9, 9), class k is digit k + 1; discovery (B, C), the embedding; else (B, K)
    features: Array  # (B, H, W, C) after the last readout; these and the logits (T, B, ...) where asked for
    states: tuple[Array, ...]  # (B, H, W, C) after the last step: unit vectors of consecutive channels
    energies: tuple[Array, ...]  # (T, B), see `KuramotoLayer`
    trajectories: tuple[Array | None, ...]  # (T, B, H, W, C) where asked for


class AKOrN(nn.Module):
    """Artificial Kuramoto oscillatory neurons.

    The stimulus c of the first layer is made of the input; the state x starts from noise. Every layer synchronizes x
    under c, and the readout of x is the next c. The defaults are those of Sudoku; `discovery_akorn` and
    `classification_akorn` make the other published ones.

    Attributes:
        head: `sudoku` takes boards of digits, `discovery` and `classification` take images in [0, 1].
        channels: of the first layer; for classification every further layer has twice as many at half the resolution.
        num_layers: Kuramoto layers, with weights of their own.
        components, coupling, heads, positions, grid, norm, rotation, initial_rotation: see `KuramotoLayer`. For
            discovery by attention without `positions`, tables of positions are learned instead, one added to c and one
            to the start of x.
        kernel_size: of the coupling by convolution, one odd number or one for each layer.
        num_steps: T of every layer, unless the call sets it.
        rate: step size; the start of the parameter where it is learned.
        learn_rate: whether the step size, one for all layers, is a parameter.
        patch: side of the patches of discovery, pixels.
        readout_components: norms of so many channels are read out, `components` if None.
        readout_kernel_size: of all convolutions of classification that follow a layer.
        num_classes: K of classification.
    """

    head: Literal["sudoku", "discovery", "classification"] = "sudoku"
    channels: int = 512
    num_layers: int = 1
    components: int = 4
    coupling: Literal["attention", "conv", "dense"] = "attention"
    heads: int = 8
    positions: bool = True
    grid: tuple[int, int] | None = None
    kernel_size: int | Sequence[int] = 3
    norm: Literal["none", "group", "scale"] = "none"
    rotation: Literal["none", "shared", "pairs"] = "shared"
    initial_rotation: float = 0.5
    num_steps: int = 16
    rate: float = 1.0
    learn_rate: bool = True
    patch: int = 4
    readout_components: int | None = None
    readout_kernel_size: int = 3
    num_classes: int = 10

    def __call__(
        self,
        images: Array,
        *,
        noise: Array | None = None,
        num_steps: int | None = None,
        keep_states: bool = False,
        every_step: bool = False,
        train: bool = False,
    ) -> Oscillations:
        """Synchronize, and read out.

        Args:
            images: (B, H, W, C_in) in [0, 1]; for Sudoku boards (B, 9, 9) of digits 0 to 9, 0 for a blank.
            noise: x before the first layer, (B, H, W, C) of any norm; in a Sudoku only that of blanks is used, digits
                start as they are embedded. None draws it from a normal distribution, with the PRNG stream `noise`.
            num_steps: T; None takes the attribute.
            keep_states: whether the states of every step are returned.
            every_step: whether the last layer is read out after every step: features and logits (T, B, ...).
            train: for classification, normalize by the batch and move the running statistics
                (`mutable=["batch_stats"]`).

        Raises:
            ValueError: images or noise of another shape, sides that the patches do not divide, digits outside 0 to 9,
                an unknown head, `every_step` in training for classification, and as for `KuramotoLayer`.
        """
        if self.head not in HEADS:
            raise ValueError(f"head must be one of {', '.join(HEADS)}, got {self.head!r}")
        if every_step and train and self.head == "classification":
            # Normalization by the batch would mix the statistics of all steps.
            raise ValueError("every_step reads out for tests: train must be False")
        num_steps = whole_number("num_steps", self.num_steps if num_steps is None else num_steps, 1)
        if self.head == "sudoku":
            check_boards(images)
        options = {"num_steps": num_steps, "keep_states": keep_states, "every_step": every_step, "train": train}
        first = int(every_step)
        out = Oscillations(first, first, (0,) * self.num_layers, (1,) * self.num_layers, (1,) * self.num_layers)
        arrays, rng = {"images": images, "noise": noise}, "noise" if noise is None else None
        return run(self, "_forward", arrays, core=2 if self.head == "sudoku" else 3, out=out, rng=rng, **options)

    @nn.compact
    def _forward(
        self,
        images: Array,
        noise: Array | None,
        num_steps: int,
        keep_states: bool,
        every_step: bool,
        train: bool,
        key: Array | None = None,
    ) -> Oscillations:
        stimulus = self._stimulus(images)
        if noise is None:
            key = self.make_rng("noise") if key is None else key
            noise = jax.random.normal(key, stimulus.shape, stimulus.dtype)
        if noise.shape != stimulus.shape:
            raise ValueError(f"noise must be {stimulus.shape} for images {images.shape}, got {noise.shape}")
        x = jnp.where(images[..., None] > 0, stimulus, noise) if self.head == "sudoku" else noise
        if self.head == "discovery" and self.coupling == "attention" and not self.positions:
            start = lambda _: position_table(*x.shape[1:])  # noqa: E731
            stimulus, x = stimulus + self.param("stimulus_positions", start), x + self.param("state_positions", start)
        rate = self.param("rate", nn.initializers.constant(self.rate), ()) if self.learn_rate else None
        runs = []
        for index in range(self.num_layers):
            if index and self.head == "classification":
                x, stimulus = self._halved(f"halve_{index}", x, stimulus)
            every = every_step and index + 1 == self.num_layers
            made = self._layer(index)._synchronize(x, stimulus, rate, num_steps, keep_states or every)
            runs.append(made if keep_states else made._replace(trajectory=None))
            x = made.states
            stimulus = self._read(index, made.trajectory.reshape(-1, *x.shape[1:]) if every else x, train)
        read = self._logits(stimulus), stimulus
        if every_step:
            read = [y.reshape(num_steps, -1, *y.shape[1:]) for y in read]
        return Oscillations(*read, *_by_layer(runs))

    def _layer(self, index: int) -> KuramotoLayer:
        sizes = self.kernel_size if isinstance(self.kernel_size, Sequence) else (self.kernel_size,) * self.num_layers
        if len(sizes) != self.num_layers:
            raise ValueError(f"kernel_size must be one number or {self.num_layers}, got {self.kernel_size}")
        table = self.head == "discovery" and not self.positions
        return KuramotoLayer(
            components=self.components,
            coupling=self.coupling,
            heads=self.heads,
            positions=self.positions and not table,
            grid=self.grid,
            kernel_size=sizes[index],
            norm=self.norm,
            rotation=self.rotation,
            initial_rotation=self.initial_rotation,
            rate=self.rate,
            name=f"layer_{index}",
        )

    def _stimulus(self, images: Array) -> Array:
        if self.head == "sudoku":
            return self._embedded(images)
        if images.ndim != 4:
            raise ValueError(f"images must be (B, H, W, C), got shape {images.shape}")
        images = 2 * images - 1
        if self.head == "classification":
            return conv(images, self.param("stem_kernel", torch_uniform, (3, 3, images.shape[-1], self.channels)))
        if images.shape[1] % self.patch or images.shape[2] % self.patch:
            raise ValueError(f"images must have sides divisible by the patch {self.patch}, got {images.shape}")
        shape = (self.patch, self.patch, images.shape[-1], self.channels)
        kernel = self.param("patch_kernel", torch_uniform, shape)
        patches = rearrange(images, "b (h i) (w j) c -> b h w (i j c)", i=self.patch, j=self.patch)
        bias = self.param("patch_bias", torch_bias(shape), shape[-1:])
        return jnp.matmul(patches, kernel.reshape(-1, self.channels), precision=precision()) + bias

    def _embedded(self, boards: Array) -> Array:
        if boards.ndim != 3:
            raise ValueError(f"boards must be (B, 9, 9), got shape {boards.shape}")
        table = self.param("embedding", nn.initializers.normal(1.0), (DIGITS, self.channels))
        return jnp.take(table, boards.astype(int), axis=0, mode="clip")

    def _halved(self, name: str, *arrays: Array) -> list[Array]:
        """The same strided convolution of the state and of the stimulus."""
        channels = arrays[0].shape[-1]
        shape = (3, 3, channels, 2 * channels)
        kernel = self.param(f"{name}_kernel", torch_uniform, shape)
        bias = self.param(f"{name}_bias", torch_bias(shape), shape[-1:])
        return [conv(x, kernel, strides=2) + bias for x in arrays]

    def _read(self, index: int, x: Array, train: bool) -> Array:
        size = self.readout_kernel_size if self.head == "classification" else 1
        channels, components = x.shape[-1], self.readout_components or self.components
        v = NormReadout(channels, components, kernel_size=size, name=f"readout_{index}")._read(x)
        if self.head == "discovery":
            return v
        hidden = self._activated(f"hidden_{index}", v, channels, train)
        v = v + self._activated(f"residual_{index}", hidden, channels, train)
        return self._activated(f"output_{index}", v, channels, train)

    def _activated(self, name: str, x: Array, channels: int, train: bool = False) -> Array:
        """A convolution of relu(x), for classification of the normalized x."""
        size = 1
        if self.head == "classification":
            size = self.readout_kernel_size
            x = BatchNorm(axis=-1, name=f"{name}_norm")(x, train=train)
        shape = (size, size, x.shape[-1], channels)
        kernel = self.param(f"{name}_kernel", torch_uniform, shape)
        return conv(nn.relu(x), kernel) + self.param(f"{name}_bias", torch_bias(shape), (channels,))

    def _logits(self, features: Array) -> Array:
        if self.head == "sudoku":
            return self._activated("logits", features, DIGITS - 1)
        if self.head == "classification":
            return self._dense("logits", features.mean((1, 2)), self.num_classes)
        # Not max over two axes: its gradient is shared among equal maxima, of rounding that may differ.
        pooled = features.reshape(len(features), -1, features.shape[-1]).max(1)
        hidden = nn.relu(self._dense("embedding_hidden", pooled, 4 * self.channels))
        return self._dense("embedding", hidden, self.channels)

    def _dense(self, name: str, x: Array, units: int) -> Array:
        shape = (x.shape[-1], units)
        bias = self.param(f"{name}_bias", torch_bias(shape), (units,))
        return jnp.matmul(x, self.param(f"{name}_kernel", torch_uniform, shape), precision=precision()) + bias


def _by_layer(runs: list[Synchronized]) -> tuple[Any, ...]:
    return tuple(tuple(getattr(run, name) for run in runs) for name in ("states", "energies", "trajectory"))


def discovery_akorn(**options: Any) -> AKOrN:
    """The network that finds objects in Tetrominoes and dSprites, by attention: 128 channels, 8 steps of fixed rate.

    Args:
        **options: other attributes of `AKOrN`.
    """
    published = {"channels": 128, "rotation": "none", "num_steps": 8, "learn_rate": False}
    return AKOrN(head="discovery", **(published | options))


def classification_akorn(**options: Any) -> AKOrN:
    """The network of CIFAR-10: three layers of 64, 128 and 256 channels, convolutions, oscillators in the plane.

    Args:
        **options: other attributes of `AKOrN`.
    """
    published = {
        "channels": 64,
        "num_layers": 3,
        "components": 2,
        "coupling": "conv",
        "kernel_size": (9, 7, 5),
        "norm": "group",
        "initial_rotation": 1.0,
        "num_steps": 3,
        "learn_rate": False,
    }
    return AKOrN(head="classification", **(published | options))
