"""KomplexNet: complex activations with Kuramoto dynamics (Muzellec, Alamia, Serre and VanRullen, 2025)."""

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from einops import rearrange
from flax import linen as nn
from jax import Array

from oscnets._platform import on_gpu
from oscnets._products.conv import conv_hwcb
from oscnets._products.layout import from_hwcb, to_hwcb
from oscnets.dynamics import coupling, kuramoto, unroll
from oscnets.dynamics._at_once import unroll_at_once
from oscnets.dynamics.kuramoto.kernel import field_of
from oscnets.models._program import run
from oscnets.models.complex_head import ComplexHead, Layers, feedback_field, logits_of, sent_fields
from oscnets.models.init import gabor_filters, gaussian_kernel, ground_truth_phases, random_phases, torch_uniform
from oscnets.ops import complex as polar

PHASES = ("kuramoto", "random", "ideal")
LAYERS = ("l2", "l3", "l4")

Step = Callable[[Array, Array | None], Array]  # (phases, external field) -> phases
Context = tuple[Array, Array]  # amplitude (H, W, C, B) and the head's `precompute` of it, constant in time


class Trajectory(NamedTuple):
    """A run of KomplexNet's first layer: T = num_steps with the Kuramoto dynamics, 1 without."""

    states: Array  # for `classify_step`, time first: `trajectory`; with feedback the logits (T, B, K) that it computed
    context: Context | None  # for `classify_step`, constant in time; None with feedback
    phases: Array  # (B, H, W, C) radians, after the last step
    trajectory: Array  # (T, B, H, W, C) radians, after every step
    amplitude: Array  # (B, H, W, C) >= 0, constant in time


class Output(NamedTuple):
    """Output of KomplexNet, time first: T = num_steps with the Kuramoto dynamics, 1 without."""

    logits: Array  # (T, B, K)
    phases: Array  # (B, H, W, C) radians, after the last step
    trajectory: Array  # (T, B, H, W, C) radians, after every step
    amplitude: Array  # (B, H, W, C) >= 0, constant in time
    layers: Layers  # of the last step: l2 (B, H/2, W/2, C), l3 (B, hidden), l4 (B, K) before the threshold


class _Run(NamedTuple):
    """A run of the first layer in the layout hwcb; logits (T, B, K) and last layers with feedback only."""

    trajectory: Array  # (T, H, W, C, B)
    context: Context
    logits: Array | None = None
    layers: Layers | None = None


def _open_loop(step: Step, phases: Array, num_steps: int) -> Array:
    """The trajectory (T, H, W, C, B) without feedback."""
    if on_gpu():  # Stores the trajectory once, not the phases before each step too.
        nothing = lambda _: ((), ())  # noqa: E731
        return unroll_at_once(lambda phases, _: step(phases, None), nothing, phases, (), num_steps, store=True)[0]
    return unroll(lambda phases: step(phases, None), phases, num_steps, collect=lambda phases: phases)[1]


def _closed_loop(
    step: Step,
    head: Callable[[Array], Layers],
    feedback: Callable[[Layers], Array],
    phases: Array,
    layers: Layers,
    num_steps: int,
) -> tuple[Array, Array, Layers]:
    """Layers act on the next step's phases: trajectory (T, H, W, C, B), logits (T, B, K), last layers."""

    def both(state: tuple[Array, Layers]) -> tuple[Array, Layers]:
        phases = step(state[0], feedback(state[1]))
        return phases, head(phases)

    collect = lambda state: (state[0], logits_of(state[1]))  # noqa: E731
    (_, layers), (trajectory, logits) = unroll(both, (phases, layers), num_steps, collect=collect)
    return trajectory, logits, layers


def _closed_loop_at_once(
    step: Step,
    head: Callable[[Array], Layers],
    kernels: dict[str, Array],
    rates: dict[str, Array | float],
    phases: Array,
    layers: Layers,
    num_steps: int,
) -> tuple[Array, Array]:
    """`_closed_loop` for a GPU: trajectory and logits."""
    near = {name: kernel for name, kernel in kernels.items() if name == "l2"}
    uniform = {name: kernel for name, kernel in kernels.items() if name not in near}

    def sent(layers: Layers) -> tuple[dict[str, Array], Array]:
        fields = sent_fields(layers)
        everywhere = feedback_field(uniform, rates, fields)
        return {name: fields[name] for name in near}, jnp.asarray(everywhere, phases.dtype)

    def part(phases: Array) -> tuple[tuple[dict[str, Array], Array], Array]:
        layers = head(phases)
        return sent(layers), logits_of(layers)

    def moved(phases: Array, sent: tuple[dict[str, Array], Array]) -> Array:
        return step(phases, sent[1] + feedback_field(near, rates, sent[0]))

    # The fields of a step are stored: to compute them again moves more memory than all of the head.
    return unroll_at_once(moved, part, phases, sent(layers), num_steps, store=True)


def _public(run: _Run) -> tuple[Array, Array, Array]:
    """Last phases, trajectory and amplitude in the layout of users."""
    lead = run.trajectory.shape[-1:]
    return tuple(from_hwcb(x, lead) for x in (run.trajectory[-1], run.trajectory, run.context[0]))


def _batch_last(layers: Layers) -> Layers:
    return jax.tree.map(lambda x: rearrange(jnp.asarray(x), "b ... -> ... b"), layers)


def _batch_first(layers: Layers) -> Layers:
    return jax.tree.map(lambda x: rearrange(x, "... b -> b ..."), layers)


def _gabor(key: Array, shape: tuple[int, ...]) -> Array:
    """The same filters for every colour, of the norm of one colour's in all."""
    del key
    return jnp.broadcast_to(gabor_filters(shape[0], shape[-1]) / math.sqrt(shape[2]), shape)


ENCODER_STARTS: dict[str, Callable[[Array, tuple[int, ...]], Array]] = {"default": torch_uniform, "gabor": _gabor}


class KomplexNet(nn.Module):
    """Multi-object classifier with phases in its first layer.

    `synchronize` runs the dynamics and `classify_step` classifies one step; a call does both, for every step. A loss
    over time is best taken of the first two, by `oscnets.losses.mean_over_time`: nothing of the head is stored then.

    Attributes:
        channels: C, oscillators per pixel.
        hidden: units of the dense layer.
        num_classes: K.
        kernel_size: odd size of the coupling kernel.
        rate, epsilon: of `kuramoto.conv_step`, one number each.
        num_steps: T, unless the call sets it.
        phases: `kuramoto` starts from random phases that then synchronize; `random` keeps the random phases; `ideal`
            sets them by `ground_truth_phases`. The last two have no dynamics.
        learn_kernel: False keeps the coupling kernel at its Gaussian start; it is no parameter then.
        feedback: which of l2, l3, l4 act on the phases of the first layer from the second step on (equation 6).
        feedback_rates: of l2, l3 and l4, radians per step; those of layers without feedback have no effect. The
            defaults are the paper's with feedback from all three, where its `rate` is 0.009.
        feedback_kernel_size: odd size of the transposed convolution from l2.
        method: of the neighbourhood sum, see `oscnets.dynamics.coupling`.
        encoder_start: of the first convolution: `default` draws it as PyTorch does; `gabor` starts from
            `gabor_filters`, the same for every colour, over the root of the number of colours.
    """

    channels: int = 8
    hidden: int = 50
    num_classes: int = 10
    kernel_size: int = 13
    rate: float = 0.006
    epsilon: float = 0.2
    num_steps: int = 15
    phases: Literal["kuramoto", "random", "ideal"] = "kuramoto"
    learn_kernel: bool = True
    feedback: Sequence[str] = ()
    feedback_rates: Sequence[float] = (0.005, 0.004, 0.004)
    feedback_kernel_size: int = 5
    method: coupling.Method = "auto"
    encoder_start: Literal["default", "gabor"] = "default"

    def setup(self) -> None:
        """Create the layers after the dynamics."""
        self.head: ComplexHead = ComplexHead(self.channels, self.hidden, self.num_classes)

    def __call__(
        self,
        images: Array,
        *,
        phases0: Array | None = None,
        masks: Array | None = None,
        overlap: Array | None = None,
        num_steps: int | None = None,
        layers0: Layers | None = None,
    ) -> Output:
        """Run the dynamics and classify every step.

        Args:
            images: (B, H, W, C_in), even H and W.
            phases0: (B, H, W, C) radians; None draws them, with the PRNG stream `phases`.
            masks, overlap: (B, H, W, G) and (B, H, W), to draw ideal phases; no overlap if None.
            num_steps: T; None takes the attribute.
            layers0: `layers` of an earlier output, the feedback of the first step; together with its `phases` as
                phases0 this continues a run, for example on the next frame of a video.

        Returns:
            `Output`. While a module is initialized all of it is 0, in its shapes and types: running takes seconds.

        Raises:
            ValueError: images that are not 4-D or of odd size, other arrays of another shape, num_steps below 1, ideal
                phases without masks, an unknown value of `phases`, feedback from unknown layers or without dynamics, an
                attribute that is an array where a number is meant.
        """
        out = Output(1, 0, 1, 0, 0)
        return self._program("_output", out, images, phases0, masks, overlap, num_steps, layers0)

    def synchronize(
        self,
        images: Array,
        *,
        phases0: Array | None = None,
        masks: Array | None = None,
        overlap: Array | None = None,
        num_steps: int | None = None,
        layers0: Layers | None = None,
    ) -> Trajectory:
        """Run the dynamics alone; arguments and errors as for a call."""
        out = Trajectory(1, 3, 0, 1, 0)
        return self._program("_trajectory", out, images, phases0, masks, overlap, num_steps, layers0)

    def classify_step(self, state: Array, context: Context | None) -> Array:
        """Logits (B, K) of one of the `states` of a `Trajectory`, with its `context`."""
        return state if context is None else run(self, "_logits", {"state": state, "context": context}, core=3, out=0)

    def _program(self, method, out, images, phases0, masks, overlap, num_steps, layers0):
        num_steps = operator.index(self.num_steps if num_steps is None else num_steps)
        layers0 = None if layers0 is None else {name: polar.Polar(*layers0[name]) for name in LAYERS if name in layers0}
        arrays = {"images": images, "phases0": phases0, "masks": masks, "overlap": overlap, "layers0": layers0}
        rng = "phases" if phases0 is None else None
        return run(self, method, arrays, core=3, out=out, rng=rng, num_steps=num_steps)

    def _output(self, **arguments: Any) -> Output:
        of_first = self._run(**arguments)
        logits, layers = (of_first.logits, of_first.layers) if self.feedback else self._classify(of_first)
        return Output(logits, *_public(of_first), _batch_first(layers))

    def _trajectory(self, **arguments: Any) -> Trajectory:
        of_first = self._run(**arguments)
        public = _public(of_first)
        states, context = (of_first.logits, None) if self.feedback else (public[1], of_first.context)
        return Trajectory(states, context, *public)

    def _logits(self, state: Array, context: Context) -> Array:
        return logits_of(self.head(to_hwcb(state), *context))

    @nn.compact
    def _run(
        self,
        images: Array,
        phases0: Array | None,
        masks: Array | None,
        overlap: Array | None,
        layers0: Layers | None,
        num_steps: int,
        key: Array | None = None,
    ) -> _Run:
        self._check(images, num_steps)
        self._check_shapes(images.shape, {"phases0": phases0, "masks": masks, "overlap": overlap}, layers0)
        amplitude, kernel = self._amplitude(images), self._coupling_kernel()
        if phases0 is None:
            phases0 = self._draw(self.make_rng("phases") if key is None else key, images, masks, overlap)
        phases0 = to_hwcb(jnp.asarray(phases0, amplitude.dtype))
        context = (amplitude, self.head.precompute(amplitude))
        feedback_kernels = self._feedback_kernels()
        if self.is_initializing():  # All parameters exist by now.
            return self._zeros(context, num_steps)
        if kernel is None:
            return _Run(phases0[None], context)
        step = self._step(kernel, amplitude)
        if not feedback_kernels:
            return _Run(_open_loop(step, phases0, num_steps), context)
        head, variables = self.head.unbind()
        look = lambda phases: head.apply(variables, phases, *context)  # noqa: E731
        rates = dict(zip(LAYERS, self.feedback_rates, strict=True))
        layers0 = head.zero_layers(amplitude) if layers0 is None else _batch_last(layers0)
        if on_gpu():
            # By the sines of the dynamics, which are computed again for gradients.
            of_field = lambda field: head.apply(variables, field, context[1], method="of_field")  # noqa: E731
            of_phases = lambda phases: of_field(field_of(phases, amplitude))  # noqa: E731
            run = _closed_loop_at_once(step, of_phases, feedback_kernels, rates, phases0, layers0, num_steps)
            return _Run(run[0], context, run[1], look(run[0][-1]))
        feedback = lambda layers: feedback_field(feedback_kernels, rates, sent_fields(layers))  # noqa: E731
        trajectory, logits, layers = _closed_loop(step, look, feedback, phases0, layers0, num_steps)
        return _Run(trajectory, context, logits, layers)

    def _step(self, kernel: Array, amplitude: Array) -> Step:
        """One step of the phases (H, W, C, B)."""
        kernel = kernel.astype(amplitude.dtype)
        sizes = {"image": amplitude.shape[:2], "batch_size": 2 * amplitude.shape[-1]}
        prepared = coupling.prepare_kernel(kernel, **sizes, uniform=-self.epsilon, method=self.method)
        drive = jnp.tanh(amplitude)
        return lambda phases, field: kuramoto.conv_step_hwcb(phases, drive, prepared, rate=self.rate, external=field)

    def _zeros(self, context: Context, num_steps: int) -> _Run:
        """A run of zeros, in the shapes and types of one with this context."""
        amplitude = context[0]
        length = num_steps if self.phases == "kuramoto" else 1
        logits = jnp.zeros((length, amplitude.shape[-1], self.num_classes), amplitude.dtype)
        trajectory = jnp.zeros((length, *amplitude.shape), amplitude.dtype)
        return _Run(trajectory, jax.tree.map(jnp.zeros_like, context), logits, self.head.zero_layers(amplitude))

    def _classify(self, run: _Run) -> tuple[Array, Layers]:
        """Logits (T, B, K) of every step, and the layers of the last."""
        if self.is_initializing():
            return run.logits, run.layers
        head, variables = self.head.unbind()
        look = lambda phases: head.apply(variables, phases, *run.context)  # noqa: E731
        return jax.lax.map(lambda phases: logits_of(look(phases)), run.trajectory), look(run.trajectory[-1])

    def _draw(self, key: Array, images: Array, masks: Array | None, overlap: Array | None) -> Array:
        if self.phases != "ideal":
            return random_phases(key, (*images.shape[:3], self.channels))
        if masks is None:
            raise ValueError("ideal phases need masks (B, H, W, G), or phases0, got neither")
        overlap = jnp.zeros(masks.shape[:-1], bool) if overlap is None else overlap
        return ground_truth_phases(jax.random.split(key, len(images)), masks, overlap, self.channels)

    def _amplitude(self, images: Array) -> Array:
        shape = (3, 3, images.shape[-1], self.channels)
        kernel = self.param("encoder_kernel", ENCODER_STARTS[self.encoder_start], shape)
        return nn.relu(conv_hwcb(to_hwcb(images), kernel))

    def _coupling_kernel(self) -> Array | None:
        if self.phases != "kuramoto":
            return None
        gaussian = gaussian_kernel(self.kernel_size, self.channels)
        return self.param("coupling_kernel", lambda _: gaussian) if self.learn_kernel else gaussian

    def _feedback_kernels(self) -> dict[str, Array]:
        """(k, k, C, C) from l2, (inputs, C) from a dense layer; initialized to 1e-6, effectively off."""
        size = self.feedback_kernel_size
        shapes = {
            "l2": (size, size, self.channels, self.channels),
            "l3": (self.hidden, self.channels),
            "l4": (self.num_classes, self.channels),
        }
        start = nn.initializers.constant(1e-6)
        return {name: self.param(f"feedback_{name}_kernel", start, shapes[name]) for name in sorted(self.feedback)}

    def _check_shapes(self, size: tuple[int, ...], given: dict[str, Array | None], layers0: Layers | None) -> None:
        batch, height, width, _ = size
        given = {name: x.shape for name, x in given.items() if x is not None}
        groups = given.get("masks", ())[3:][:1] or ("G",)
        expected = {"phases0": (*size[:3], self.channels), "masks": (*size[:3], *groups), "overlap": size[:3]}
        if layers0 is not None:
            if set(layers0) != set(LAYERS):
                raise ValueError(f"layers0 must hold {', '.join(LAYERS)}, got {', '.join(layers0)}")
            shapes = ((height // 2, width // 2, self.channels), (self.hidden,), (self.num_classes,))
            for name, shape in zip(LAYERS, shapes, strict=True):
                for part, x in layers0[name]._asdict().items():
                    given[f"layers0[{name!r}].{part}"] = x.shape
                    expected[f"layers0[{name!r}].{part}"] = (batch, *shape)
        for name, shape in given.items():
            if shape != expected[name]:
                raise ValueError(
                    f"{name} must be ({', '.join(map(str, expected[name]))}) for images {size}, got {shape}"
                )

    def _check(self, images: Array, num_steps: int) -> None:
        if images.ndim != 4 or images.shape[1] % 2 or images.shape[2] % 2:
            raise ValueError(f"images must be (B, H, W, C) with even H and W, got shape {images.shape}")
        if self.phases not in PHASES:
            raise ValueError(f"phases must be one of {', '.join(PHASES)}, got {self.phases!r}")
        if num_steps < 1:
            raise ValueError(f"num_steps must be >= 1, got {num_steps}")
        if set(self.feedback) - set(LAYERS) or len(set(self.feedback)) != len(self.feedback):
            raise ValueError(f"feedback must be some of {', '.join(LAYERS)}, each once, got {self.feedback!r}")
        if self.feedback and self.phases != "kuramoto":
            raise ValueError(f"feedback needs the dynamics of phases='kuramoto', got {self.phases!r}")
        if self.encoder_start not in ENCODER_STARTS:
            raise ValueError(f"encoder_start must be one of {', '.join(ENCODER_STARTS)}, got {self.encoder_start!r}")
        if len(self.feedback_rates) != len(LAYERS):
            raise ValueError(f"feedback_rates must be three, of {', '.join(LAYERS)}, got {self.feedback_rates!r}")
