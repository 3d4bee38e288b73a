"""GASPnet: a convolutional network whose layers synchronize by agreement (Alamia, Muzellec, Serre and VanRullen, 2025).

The authors' code is not public. Choices that the paper leaves open are attributes here. Besides: the dense layer of 16
is rectified; convolutions and dense layers have a bias, query and key maps have none; instance norm has no scale and
shift; queries and keys of the last layer are maps of its logits.
"""

import itertools
import math
from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from einops import rearrange, repeat
from flax import linen as nn
from jax import Array

from oscnets._inputs import precision
from oscnets._platform import cpu_barrier, on_gpu
from oscnets._products.conv import conv_hwcb
from oscnets._products.layout import from_chwb, to_chwb
from oscnets.dynamics import agreement, unroll
from oscnets.dynamics._at_once import unroll_at_once
from oscnets.models._program import run
from oscnets.models.init import torch_bias, torch_uniform
from oscnets.ops._phase_conv import modulate, phase_dense_cnb, tap_responses
from oscnets.ops.norm import normalize

Norm = Literal["last", "first"]
KERNEL = (3, 3)
_CHOICES = {"norm": ("last", "first"), "dense_maps": ("layer", "node"), "start": ("normal", "learned")}


Read = Callable[[list[Array]], tuple[Array, ...]]  # of activities: queries and keys (B, N, D)
Step = Callable[[Array, tuple[Array, ...]], Array]  # of phases (B, N), queries and keys: phases
Forward = Callable[[Array], list[Array]]  # of phases: activities of the layers


class Output(NamedTuple):
    """Output of GASPnet, time first: entry 0 is the plain pass, entry t the pass after t steps of the phases."""

    logits: Array  # (T + 1, B, K), or (T + 1, B, heads, K) with several heads
    phases: Array  # (T + 1, B, N) radians, layer after layer; entry 0 is the start
    first_phases: Array  # (T + 1, B, H / 2, W / 2) radians, of the first block's positions


class Weights(NamedTuple):
    """Parameters of the layers, (kernel, bias) each."""

    blocks: tuple[tuple[Array, Array], ...]  # (3, 3, C_in, C_out) and (C_out,)
    hidden: tuple[Array, Array]  # (C H W of the last block, flattened channels first, units) and (units,)
    output: tuple[Array, Array]  # (units, heads K) and (heads K,)


class FeedforwardNet(nn.Module):
    """GASPnet without phases; with the paper's channels, the baseline of about as many parameters.

    Three blocks of a 3x3 convolution, relu, max-pool 2 and instance norm; dense, relu; dense.

    Attributes:
        channels: of the convolutions.
        hidden: units of the dense layer.
        num_classes: K.
        num_heads: number of classifications, each with its last layer.
        norm: "last", after relu and pooling, or "first", before them and the bias, which it would cancel.
    """

    channels: tuple[int, ...] = (28, 32, 35)
    hidden: int = 16
    num_classes: int = 10
    num_heads: int = 1
    norm: Norm = "last"

    def __call__(self, images: Array) -> Array:
        """(B, H, W, C) images, H and W divisible by 8 -> logits (B, K), or (B, heads, K) with several heads."""
        return run(self, "_logits", {"images": images}, core=3, out=0)

    def features(self, images: Array) -> Array:
        """Output of the first block, (B, H / 2, W / 2, channels[0])."""
        return run(self, "_first", {"images": images}, core=3, out=0)

    def _logits(self, images: Array) -> Array:
        return self._layers(images)[1]

    def _first(self, images: Array) -> Array:
        return from_chwb(self._layers(images)[0], (len(images),))

    @nn.compact
    def _layers(self, images: Array) -> tuple[Array, Array]:
        """First block (C, H / 2, W / 2, B) and logits."""
        _check(self, images)
        weights = _weights(self, images)
        first = _first_block(to_chwb(images), *weights.blocks[0], self.norm)
        weights = weights._replace(blocks=weights.blocks[1:])
        activities = _forward(weights, tap_responses(first, weights.blocks[0][0]), self.norm)
        return first, _logits(activities[-1], self.num_heads)


class GASPnet(nn.Module):
    """Classifier with one phase per position of its blocks and per node of its dense layers.

    A plain pass computes the activities. Then, `num_steps` times, couplings are computed from the activities, the
    phases take one step, and a pass modulated by the phases computes new activities.

    Attributes:
        channels, hidden, num_classes, num_heads, norm: as for `FeedforwardNet`.
        dim: D of queries and keys.
        strength: alpha in [0, 1], of the modulation of every layer with phases at both ends.
        rate: lambda, of `agreement.attention_step`.
        neighbour_gain, offset, dense_gain: tau, epsilon and the gain of pairs with a dense node, see `agreement.Gains`.
            The defaults are the formulas as printed: an offset of -0.9, although the text says that the term weakens
            distant pairs (0.9 would), and a division by kappa = 100, although it says that this amplifies dense nodes.
        dense_maps: "layer": one query and one key vector per dense layer, scaled by the activity of each node; "node":
            one per node.
        start: "normal": the phases start at standard normal numbers, drawn at each call; "learned": at parameters, the
            same for every image.
        input_phases: whether the pixels have phases too, which modulate the first block.
        num_steps: T.
    """

    channels: tuple[int, ...] = (26, 30, 32)
    hidden: int = 16
    num_classes: int = 10
    num_heads: int = 1
    norm: Norm = "last"
    dim: int = 32
    strength: float = 1.0
    rate: float = 1.0
    neighbour_gain: float = 5.0
    offset: float = -0.9
    dense_gain: float = 0.01
    dense_maps: Literal["layer", "node"] = "layer"
    start: Literal["normal", "learned"] = "normal"
    input_phases: bool = False
    num_steps: int = 6

    def layers(self, size: tuple[int, int]) -> tuple[tuple[int, ...], ...]:
        """Shapes of the layers with phases, for images of size (H, W), as `oscnets.dynamics.agreement` takes them."""
        blocks = [tuple(length // 2**level for length in size) for level in range(len(self.channels) + 1)]
        first = 0 if self.input_phases else 1
        return (*blocks[first:], (self.hidden,), (self.num_heads * self.num_classes,))

    def __call__(self, images: Array, *, phases0: Array | None = None) -> Output:
        """Classify, synchronize and classify again.

        Args:
            images: (B, H, W, C), H and W divisible by 8.
            phases0: (B, N) radians, in the order of `layers`; None draws them with the PRNG stream `phases`, or takes
                the learned ones.

        Returns:
            `Output`. While a module is initialized all of it is 0, in its shapes and types: running takes seconds.

        Raises:
            ValueError: images or phases of another shape, an unknown value of `norm`, `dense_maps` or `start`, an
                attribute that is an array where a number is meant.
        """
        rng = "phases" if phases0 is None and self.start != "learned" else None
        arrays = {"images": images, "phases0": phases0}
        return run(self, "_synchronize", arrays, core=3, out=Output(1, 1, 1), rng=rng)

    @nn.compact
    def _synchronize(self, images: Array, phases0: Array | None, key: Array | None = None) -> Output:
        _check(self, images)
        weights, x = _weights(self, images), to_chwb(images)
        shapes = self.layers(images.shape[1:3])
        phases0 = self._start(phases0, key, (len(images), sum(map(math.prod, shapes)))).astype(x.dtype)
        maps = self._maps(images.shape[-1])
        if self.is_initializing():  # All parameters exist by now.
            return self._zeros(phases0, shapes)
        if not self.input_phases:
            x = _first_block(x, *weights.blocks[0], self.norm)
            weights = weights._replace(blocks=weights.blocks[1:])
        # Taps, queries and keys of the activities below the modulated layers are constant in time, and so is their
        # strength: computed once.
        responses, read = tap_responses(x, weights.blocks[0][0]), _project(x, maps[0])
        gains = agreement.Gains(self.neighbour_gain, self.offset, self.dense_gain)
        cached_strength = agreement.strength(*read, shapes[:1], gains)

        project = (
            partial(_project_together, _of_oscillators(maps[1:], shapes[1:]))
            if on_gpu()
            else partial(_project_each, maps[1:])
        )

        def read_all(activities: list[Array]) -> tuple[Array, ...]:
            each = [read, *project(activities)]
            return tuple(jnp.concatenate(parts, axis=1) for parts in zip(*each, strict=True))

        def step(phases: Array, read: tuple[Array, ...]) -> Array:
            return agreement.attention_step(
                phases, *read, shapes, gains, rate=self.rate, cached_strength=cached_strength
            )

        def forward(phases: Array) -> list[Array]:
            return _forward(weights, responses, self.norm, _by_layer(phases, shapes), self.strength)

        plain = _forward(weights, responses, self.norm)
        unrolled = _unrolled_at_once if on_gpu() else _unrolled
        stacked = unrolled(step, forward, read_all, phases0, plain, self.num_steps)
        phases, outputs = (jnp.concatenate([x[None], xs]) for x, xs in zip((phases0, plain[-1]), stacked, strict=True))
        return self._output(_logits(outputs, self.num_heads), phases, shapes)

    def _zeros(self, phases0: Array, shapes: tuple[tuple[int, ...], ...]) -> Output:
        """An output of zeros, in the shapes and types of one with these phases (B, N)."""
        batch, heads = len(phases0), () if self.num_heads == 1 else (self.num_heads,)
        logits = jnp.zeros((self.num_steps + 1, batch, *heads, self.num_classes), phases0.dtype)
        return self._output(logits, jnp.zeros((self.num_steps + 1, *phases0.shape), phases0.dtype), shapes)

    def _output(self, logits: Array, phases: Array, shapes: tuple[tuple[int, ...], ...]) -> Output:
        first = shapes[int(self.input_phases)]
        before = math.prod(shapes[0]) if self.input_phases else 0
        of_first = phases[..., before : before + math.prod(first)]
        return Output(logits, phases, of_first.reshape(*phases.shape[:2], *first))

    def _start(self, phases0: Array | None, key: Array | None, shape: tuple[int, int]) -> Array:
        if self.start == "learned":
            learned = self.param("start", nn.initializers.normal(1.0), shape[1:])
            phases0 = jnp.broadcast_to(learned, shape) if phases0 is None else phases0
        elif phases0 is None:
            phases0 = jax.random.normal(self.make_rng("phases") if key is None else key, shape)
        if phases0.shape != shape:
            raise ValueError(f"phases0 must be {shape}, one phase per oscillator, got {phases0.shape}")
        return phases0

    def _maps(self, channels: int) -> list[tuple[Array, Array]]:
        """Query and key map of every layer: (C, D) for positions, (n, D) for n dense nodes."""
        first = 0 if self.input_phases else 1
        sizes = (channels, *self.channels)[first:]
        pairs = [self._pair(f"block{i}", torch_uniform, size) for i, size in enumerate(sizes, start=first)]
        for name, layers, nodes in (("hidden", 1, self.hidden), ("output", self.num_heads, self.num_classes)):
            sharing = nodes if self.dense_maps == "layer" else 1
            pair = self._pair(name, _unit_uniform, layers * nodes // sharing)
            pairs.append(tuple(repeat(x, "n d -> (n sharing) d", sharing=sharing) for x in pair))
        return pairs

    def _pair(self, name: str, init: nn.initializers.Initializer, size: int) -> tuple[Array, Array]:
        return tuple(self.param(f"{name}_{of}", init, (size, self.dim)) for of in ("query", "key"))


def _unit_uniform(key: Array, shape: tuple[int, ...], dtype: jnp.dtype = float) -> Array:
    """`torch_uniform` for maps of a single number, the activity of a node (fan-in 1)."""
    return jax.random.uniform(key, shape, dtype, -1, 1)


def _weights(module: FeedforwardNet | GASPnet, images: Array) -> Weights:
    """Declare the parameters of the layers."""

    def layer(name: str, *shape: int) -> tuple[Array, Array]:
        kernel = module.param(f"{name}_kernel", torch_uniform, shape)
        return kernel, module.param(f"{name}_bias", torch_bias(shape), shape[-1:])

    sizes = (images.shape[-1], *module.channels)
    blocks = tuple(layer(f"block{i}", *KERNEL, *sizes[i - 1 : i + 1]) for i in range(1, len(sizes)))
    positions = math.prod(length // 2 ** len(module.channels) for length in images.shape[1:3])
    hidden = layer("hidden", positions * sizes[-1], module.hidden)
    return Weights(blocks, hidden, layer("output", module.hidden, module.num_heads * module.num_classes))


def _first_block(images: Array, kernel: Array, bias: Array, norm: Norm) -> Array:
    """A block without phases below it, (C_in, H, W, B) -> (C, H / 2, W / 2, B)."""
    y = conv_hwcb(rearrange(images, "c h w b -> h w c b"), kernel)
    return _activate_and_pool(rearrange(y, "h w c b -> c h w b"), bias, norm)


def _forward(
    weights: Weights, responses: Array, norm: Norm, phases: list[Array] | None = None, strength: float = 0.0
) -> list[Array]:
    """One pass through the layers above the lowest one with phases.

    Args:
        weights: of these layers.
        responses: of the taps of the first of them.
        norm: of `FeedforwardNet`.
        phases: of every layer from the lowest up, (H, W, B) or (n, B); None is a plain pass.
        strength: alpha.

    Returns:
        Activities (C, H, W, B) of the blocks, (n, B) of the two dense layers.
    """
    activities = []
    for level, (kernel, bias) in enumerate(weights.blocks):
        responses = tap_responses(activities[-1], kernel) if level else responses
        if phases is None:
            y = responses.sum(0) if on_gpu() else sum(responses)
        else:
            ends = phases[level], _upsample(phases[level + 1])
            y = modulate(responses, *ends, kernel_size=KERNEL, strength=strength)
        activities.append(_activate_and_pool(y, bias, norm))
    of_positions, of_hidden, of_output = (None, None, None) if phases is None else phases[-3:]
    flat = rearrange(activities[-1], "c h w b -> c (h w) b")
    of_flat = None if phases is None else rearrange(of_positions, "h w b -> (h w) b")
    hidden = nn.relu(phase_dense_cnb(flat, *weights.hidden, of_flat, of_hidden, strength))
    return [*activities, hidden, phase_dense_cnb(hidden[None], *weights.output, of_hidden, of_output, strength)]


def _activate_and_pool(y: Array, bias: Array, norm: Norm) -> Array:
    """Bias, relu, max-pool and norm: (C, H, W, B) -> (C, H / 2, W / 2, B)."""
    # The barriers store it before four strided reads, and again for its many readers. Pairwise maxima: reductions are
    # slow.
    y = cpu_barrier(y)
    if norm == "first":
        y = normalize(y, (1, 2))
    rows = jnp.maximum(y[:, ::2], y[:, 1::2])
    y = nn.relu(jnp.maximum(rows[:, :, ::2], rows[:, :, 1::2]) + bias[:, None, None, None])
    return cpu_barrier(normalize(y, (1, 2)) if norm == "last" else y)


def _upsample(phases: Array) -> Array:
    """(H, W, B) -> (2 H, 2 W, B), nearest."""
    # One axis at a time: the gradient of both at once is a slower reduction.
    return jnp.repeat(jnp.repeat(phases, 2, axis=0), 2, axis=1)


def _project(activity: Array, maps: tuple[Array, Array]) -> tuple[Array, Array]:
    """Queries and keys of a layer, (B, n, D) each."""
    if activity.ndim == 2:
        return tuple(jnp.einsum("nb,nd->bnd", activity, x, precision=precision()) for x in maps)
    flat = rearrange(activity, "c h w b -> c (h w) b")
    both = jnp.einsum("cnb,cd->bnd", flat, jnp.concatenate(maps, axis=1), precision=precision())
    return tuple(jnp.split(both, 2, axis=-1))


def _project_each(maps: list[tuple[Array, Array]], activities: list[Array]) -> list[tuple[Array, Array]]:
    """Queries and keys of layers, by a product each."""
    return list(map(_project, activities, maps))


def _project_together(maps: Array, activities: list[Array]) -> list[tuple[Array, Array]]:
    """The same for a GPU, by one product of all oscillators, each with its map."""
    each = [rearrange(x, "c h w b -> (h w) c b") if x.ndim == 4 else x[:, None] for x in activities]
    padded = [jnp.pad(x, [(0, 0), (0, maps.shape[1] - x.shape[1]), (0, 0)]) for x in each]
    both = jnp.einsum("ncb,ncd->bnd", jnp.concatenate(padded), maps, precision=precision())
    return [tuple(jnp.split(both, 2, axis=-1))]


def _of_oscillators(maps: list[tuple[Array, Array]], shapes: tuple[tuple[int, ...], ...]) -> Array:
    """Query and key map of every oscillator, (N, C, 2 D), with zeros up to the largest C."""
    both = [jnp.concatenate(pair, axis=1) for pair in maps]
    each = [
        x[:, None] if len(shape) == 1 else repeat(x, "c d -> n c d", n=math.prod(shape))
        for x, shape in zip(both, shapes, strict=True)
    ]
    width = max(x.shape[1] for x in each)
    return jnp.concatenate([jnp.pad(x, [(0, 0), (0, width - x.shape[1]), (0, 0)]) for x in each])


def _by_layer(phases: Array, shapes: tuple[tuple[int, ...], ...]) -> list[Array]:
    """(B, N) -> (H, W, B) or (n, B) of every layer."""
    ends = list(itertools.accumulate(map(math.prod, shapes)))[:-1]
    parts = jnp.split(phases.T, ends)
    return [part.reshape(*shape, -1) for part, shape in zip(parts, shapes, strict=True)]


def _unrolled(step: Step, forward: Forward, read: Read, phases: Array, activities: list[Array], num_steps: int):
    """Phases (T, B, N) and activities of the last layer (T, heads K, B) after every step of the phases and the pass."""

    def both(state: tuple[Array, list[Array]]) -> tuple[Array, list[Array]]:
        phases = step(state[0], read(state[1]))
        return phases, forward(phases)

    collect = lambda state: (state[0], state[1][-1])  # noqa: E731
    # Storing the intermediates of a step takes longer than computing them again.
    return unroll(both, (phases, activities), num_steps, collect=collect, checkpoint_every=1)[1]


def _unrolled_at_once(step: Step, forward: Forward, read: Read, phases: Array, activities: list[Array], num_steps: int):
    """`_unrolled` for a GPU."""

    def part(phases: Array) -> tuple[tuple[Array, ...], Array]:
        activities = forward(phases)
        return read(activities), activities[-1]

    return unroll_at_once(step, part, phases, read(activities), num_steps, store=False)


def _logits(output: Array, num_heads: int) -> Array:
    """(..., heads K, B) -> (..., B, K), or (..., B, heads, K)."""
    if num_heads == 1:
        return output.swapaxes(-1, -2)
    return rearrange(output, "... (heads k) b -> ... b heads k", heads=num_heads)


def _check(module: FeedforwardNet | GASPnet, images: Array) -> None:
    factor = 2 ** len(module.channels)
    if images.ndim != 4 or images.shape[1] % factor or images.shape[2] % factor:
        raise ValueError(f"images must be (B, H, W, C) with H and W divisible by {factor}, got shape {images.shape}")
    for name, choices in _CHOICES.items():
        if getattr(module, name, choices[0]) not in choices:
            raise ValueError(f"{name} must be {choices[0]!r} or {choices[1]!r}, got {getattr(module, name)!r}")
