"""Layer of oscillators on spheres, and its readout (Miyato, Löwe, Geiger and Welling, 2025)."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax.numpy as jnp
from einops import rearrange
from flax import linen as nn
from jax import Array

from oscnets._inputs import broadcasting, precision, whole_number
from oscnets.dynamics import _sphere, sphere, unroll
from oscnets.models._program import run
from oscnets.models.attention import attention_weights, mix_by_channel, projections, resized_blocks
from oscnets.models.convolution import convolution
from oscnets.models.init import torch_bias, torch_uniform
from oscnets.ops import conv
from oscnets.ops.norm import normalize

COUPLINGS = ("attention", "conv", "dense")
NORMS = ("none", "group", "scale")
ROTATIONS = ("none", "shared", "pairs")


class Synchronized(NamedTuple):
    """A run of a Kuramoto layer over T steps, time first."""

    states: Array  # (B, H, W, C) after the last step; every group of n consecutive channels is a unit vector
    energies: Array  # (T, B): - sum <x, J(x) + c> with x before each step
    trajectory: Array | None  # (T, B, H, W, C) after every step, where asked for


SYNCHRONIZED = Synchronized(0, 1, 1)


class KuramotoLayer(nn.Module):
    """Oscillators of n components that synchronize under a learned coupling and a stimulus.

        x_i <- N(x_i + rate * (Omega_i x_i + Proj_i(c_i + sum_j J_ij x_j)))

    Attributes:
        components: n, consecutive channels that make an oscillator.
        coupling: J, a self-attention over all positions, a convolution, or `dense`: a matrix (H W C, H W C) that
            couples every oscillator with every other, for small grids of one size.
        heads: of the attention.
        positions: whether queries, keys, values and outputs are turned by learned blocks, one for each position.
        grid: height and width that the blocks are learned for, those of the state if None; other sizes interpolate.
        kernel_size: odd size of the convolution.
        norm: of the stimulus: `group`, each oscillator over the image; `scale`, a factor and a shift per channel.
        rotation: natural frequencies, `shared` by all pairs of channels or one for each of the `pairs`. With `none`, as
            published, the identity stands in the place of Omega: the step is that of rate / (1 + rate).
        initial_rotation: their start, radians per unit of time.
        project: False adds the force whole, not only its part that is tangent to the sphere.
        num_steps: T, unless the call sets it.
        rate: step size, unless the call sets it.
    """

    components: int = 4
    coupling: Literal["attention", "conv", "dense"] = "attention"
    heads: int = 8
    positions: bool = True
    grid: tuple[int, int] | None = None
    kernel_size: int = 3
    norm: Literal["none", "group", "scale"] = "none"
    rotation: Literal["none", "shared", "pairs"] = "none"
    initial_rotation: float = 1.0
    project: bool = True
    num_steps: int = 8
    rate: float = 1.0

    def __call__(
        self,
        x: Array,
        stimulus: Array,
        *,
        rate: Array | float | None = None,
        num_steps: int | None = None,
        keep_states: bool = False,
    ) -> Synchronized:
        """Run the dynamics.

        Args:
            x: (B, H, W, C) initial states, of any norm.
            stimulus: c, (B, H, W, C), constant in time, before its normalization.
            rate, num_steps: None takes the attributes.
            keep_states: whether the trajectory is returned.

        Raises:
            ValueError: shapes that differ; C that the components or heads do not divide; an unknown coupling, norm or
                rotation; num_steps below 1.
        """
        arrays = {"x": x, "stimulus": stimulus, "rate": rate}
        num_steps = whole_number("num_steps", self.num_steps if num_steps is None else num_steps, 1)
        return run(self, "_synchronize", arrays, core=3, out=SYNCHRONIZED, num_steps=num_steps, keep_states=keep_states)

    @nn.compact
    def _synchronize(
        self, x: Array, stimulus: Array, rate: Array | None, num_steps: int, keep_states: bool
    ) -> Synchronized:
        self._check(x, stimulus)
        stimulus = self._normalized(stimulus)
        layout, bias, couple = self._coupling(x)
        axes = layout.split()
        components, others = axes.index("n"), [axis for axis, name in enumerate(axes) if name != "b"]
        to_layout = lambda x: rearrange(x, f"b h w (i n) -> {layout}", n=self.components)  # noqa: E731
        from_layout = lambda x, time="": rearrange(x, f"{time} {layout} -> {time} b h w (i n)")  # noqa: E731
        rate = self.rate if rate is None else rate
        if jnp.ndim(rate):
            oscillators = (*x.shape[:3], x.shape[3] // self.components)
            (rate,) = broadcasting(oscillators, "the oscillators of x", x.dtype, rate=rate)
            rate = rearrange(jnp.broadcast_to(rate, oscillators), f"b h w i -> {layout.replace('n', '1')}")
        advance = self._advance(self._rotation(x.shape[-1]), rate, components, len(axes))
        count, x, stimulus = len(x), to_layout(x), to_layout(stimulus + bias)

        def step(state: tuple[Array, Array]) -> tuple[Array, Array]:
            x = state[0]
            force = couple(x) + stimulus
            return advance(x, force), -(x * force).sum(others)

        start = _sphere.normalize(x, axis=components), jnp.zeros(count, x.dtype)
        collect = lambda state: state if keep_states else state[1:]  # noqa: E731
        (states, _), kept = unroll(step, start, num_steps, collect=collect)
        return Synchronized(from_layout(states), kept[-1], from_layout(kept[0], "t") if keep_states else None)

    def _advance(
        self, rotation: Array | None, rate: Array | float, axis: int, rank: int
    ) -> Callable[[Array, Array], Array]:
        """The step of states under a force, of so many axes, with the components along this one."""
        if rotation is None:
            rate = rate / (1 + rate)
        elif rotation.ndim:
            rotation = rotation.reshape(*rotation.shape, *(1,) * (rank - axis - 1))
        if self.project:
            return lambda x, force: _sphere.step(x, force, rate, rotation, axis=axis)
        turn = lambda x: 0 if rotation is None else _sphere.rotate(x, rotation, axis=axis)  # noqa: E731
        return lambda x, force: _sphere.normalize(x + rate * (turn(x) + force), axis=axis)

    def _coupling(self, x: Array) -> tuple[str, Array, Callable[[Array], Array]]:
        """The order of axes in which the product with J is fast, the bias of J, and the product."""
        batch, height, width, channels = x.shape
        if self.coupling == "conv":
            shape = (self.kernel_size, self.kernel_size, channels, channels)
            kernel = self.param("kernel", torch_uniform, shape)
            convolve = convolution(kernel.astype(x.dtype), (height, width), batch)
            product = lambda x: convolve(x.reshape(height, width, channels, -1))  # noqa: E731
            layout, bias = "h w i n b", self.param("bias", torch_bias(shape), (channels,))
        elif self.coupling == "dense":
            units = height * width * channels
            matrix = self.param("matrix", torch_uniform, (units, units))
            product = lambda x: jnp.matmul(matrix.T, x.reshape(units, -1), precision=precision())  # noqa: E731
            layout, bias = "h w i n b", self.param("bias", torch_bias(matrix.shape), x.shape[1:])
        else:
            grid = (self.grid or (height, width)) if self.positions else None
            weights = attention_weights(self, channels, self.heads, grid)
            if grid is not None:
                weights = resized_blocks(weights, grid, (height, width))
            prepared = projections(weights, self.heads)
            product = lambda x: mix_by_channel(x.reshape(channels, *x.shape[2:]), prepared, self.heads)  # noqa: E731
            layout, bias = "i n b h w", weights.out_bias
        return layout, bias, lambda x: product(x).reshape(x.shape)

    def _normalized(self, stimulus: Array) -> Array:
        if self.norm == "none":
            return stimulus
        size = stimulus.shape[-1:]
        if self.norm == "group":
            groups = stimulus.reshape(*stimulus.shape[:-1], -1, self.components)
            stimulus = normalize(groups, (1, 2, 4)).reshape(stimulus.shape)
        scale = self.param("scale", nn.initializers.ones, size)
        return stimulus * scale + self.param("shift", nn.initializers.zeros, size)

    def _rotation(self, channels: int) -> Array | None:
        """Frequencies () or (oscillators, n / 2), each the norm of two numbers."""
        if self.rotation == "none":
            return None
        shape = (2,) if self.rotation == "shared" else (channels // 2, 2)
        start = nn.initializers.constant(self.initial_rotation / 2**0.5)
        frequency = sphere.norm(self.param("rotation", start, shape))
        return frequency if self.rotation == "shared" else frequency.reshape(-1, self.components // 2)

    def _check(self, x: Array, stimulus: Array) -> None:
        if x.ndim != 4 or x.shape != stimulus.shape:
            raise ValueError(f"x and stimulus must both be (B, H, W, C), got {x.shape} and {stimulus.shape}")
        if self.components < 1 or x.shape[-1] % self.components:
            raise ValueError(f"channels must be a multiple of the {self.components} components, got {x.shape[-1]}")
        if self.rotation != "none" and self.components % 2:
            raise ValueError(f"rotation needs an even number of components, got {self.components}")
        for name, known in (("coupling", COUPLINGS), ("norm", NORMS), ("rotation", ROTATIONS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}")


class NormReadout(nn.Module):
    """Convolution to groups of m channels, whose norms are the outputs: ||(U x + b)_k|| + beta_k.

    Attributes:
        channels: of the output.
        components: m, consecutive channels of the convolution that make one output.
        kernel_size: odd.
        strides: the same along both axes.
    """

    channels: int
    components: int = 4
    kernel_size: int = 1
    strides: int = 1

    def __call__(self, x: Array) -> Array:
        """(B, H, W, C) -> (B, H / strides, W / strides, channels), sizes rounded up.

        Where a norm is 0 its derivatives are.
        """
        return run(self, "_read", {"x": x}, core=3, out=0)

    @nn.compact
    def _read(self, x: Array) -> Array:
        size = self.kernel_size
        shape = (size, size, x.shape[-1], self.channels * self.components)
        kernel = self.param("kernel", torch_uniform, shape)
        # Zeros where the stride takes a part of its last cell only.
        x = jnp.pad(x, [(0, 0), *((0, -side % self.strides) for side in x.shape[1:3]), (0, 0)])
        y = conv(x, kernel, strides=self.strides) + self.param("kernel_bias", torch_bias(shape), shape[-1:])
        shift = self.param("bias", nn.initializers.zeros, (self.channels,))
        return sphere.norm(y.reshape(*y.shape[:-1], self.channels, self.components)) + shift
