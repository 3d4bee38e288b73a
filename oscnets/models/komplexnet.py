"""KomplexNet: complex activations with Kuramoto dynamics (Muzellec, Alamia, Serre and VanRullen, 2025)."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from oscnets._products.conv import conv_hwcb, conv_transpose_hwcb
from oscnets.dynamics import coupling, kuramoto, sum_over, unroll
from oscnets.models.init import torch_bias, torch_uniform
from oscnets.ops import complex as polar
from oscnets.phase import sincos

PHASES = ("kuramoto", "random", "ideal")
LAYERS = ("l2", "l3", "l4")

Step = Callable[[Array, Array | None], Array]
Layers = dict[str, polar.Polar]  # what every layer above the first computes, by name


class Output(NamedTuple):
    """What KomplexNet gives, time first: T = num_steps with the Kuramoto dynamics, 1 without."""

    logits: Array | None  # (T, B, K); None while a module is initialized
    phases: Array  # (B, H, W, C) radians, after the last step
    trajectory: Array  # (T, B, H, W, C) radians, after every step
    amplitude: Array  # (B, H, W, C) >= 0, constant in time
    loss: Array | None  # mean over time of `step_loss`, where one was given
    layers: Layers | None  # of the last step: l2 (B, H/2, W/2, C), l3 (B, hidden), l4 (B, K) before the threshold


def gaussian_kernel(size: int, channels: int, std: float = 3.0) -> Array:
    """A Gaussian of the distance from the centre, coordinates -1 to 1, (size, size, channels, channels), all alike."""
    axis = jnp.linspace(-1.0, 1.0, size) if size > 1 else jnp.zeros(1)
    square = axis[:, None] ** 2 + axis[None, :] ** 2
    return jnp.broadcast_to(jnp.exp(-square / (2 * std**2))[..., None, None], (size, size, channels, channels))


def random_phases(key: Array, shape: tuple[int, ...]) -> Array:
    """Uniform in (-pi, pi)."""
    return jax.random.uniform(key, shape, minval=-jnp.pi, maxval=jnp.pi)


def ideal_phases(key: Array, masks: Array, overlap: Array, channels: int) -> Array:
    """Phases as ground truth would set them: one an object, equidistant from an offset random an image.

    Args:
        key: one PRNG key an image, shape (...).
        masks: (..., H, W, G), one mask an object.
        overlap: (..., H, W): where two objects are; these pixels get the phase halfway between the first two objects
            (the circular mean of opposite phases, where it is undefined, read as the middle of the arc). With more than
            two objects too, since `overlap` does not tell which of them meet.
        channels: C.

    Returns:
        (..., H, W, C) radians, alike in all channels; the background is uniformly random.
    """
    groups = masks.shape[-1]

    def of_one(key: Array, masks: Array, overlap: Array) -> Array:
        offset_key, background_key = jax.random.split(key)
        offset = random_phases(offset_key, ())
        phases = random_phases(background_key, (*overlap.shape, channels))
        for group in range(groups):
            phases = jnp.where(masks[..., group, None], offset + 2 * jnp.pi * group / groups, phases)
        return jnp.where(overlap[..., None], offset + jnp.pi / groups, phases)

    for _ in range(masks.ndim - 3):
        of_one = jax.vmap(of_one)
    return of_one(key, masks > 0, overlap > 0)


class ComplexHead(nn.Module):
    """The layers after the dynamics, the same at every time step.

    A strided convolution, dense, dense: all complex with real weights. Inner layout, batch last; `hoist` gives what is
    constant in time.
    """

    size: tuple[int, int]
    channels: int
    hidden: int
    num_classes: int

    def setup(self) -> None:
        """Declare the parameters."""
        features = self.size[0] // 2 * (self.size[1] // 2) * self.channels
        shapes = {
            "conv": (3, 3, self.channels, self.channels),
            "hidden": (features, self.hidden),
            "output": (self.hidden, self.num_classes),
        }
        for name, shape in shapes.items():
            setattr(self, f"{name}_kernel", self.param(f"{name}_kernel", torch_uniform, shape))
            setattr(self, f"{name}_bias", self.param(f"{name}_bias", torch_bias(shape), shape[-1:]))
        for name in ("conv", "hidden"):
            setattr(self, f"{name}_scale", self.param(f"{name}_scale", nn.initializers.ones, shapes[name][-1:]))
            setattr(self, f"{name}_shift", self.param(f"{name}_shift", nn.initializers.zeros, shapes[name][-1:]))

    def hoist(self, amplitude: Array) -> Array:
        """(H, W, C, B) amplitude -> the convolution's classic term of equation 4, (H/2, W/2, C, B)."""
        return conv_hwcb(amplitude, self.conv_kernel, strides=2) + self.conv_bias[:, None]

    def __call__(self, phases: Array, amplitude: Array, hoisted: Array) -> Layers:
        """(H, W, C, B) phases and amplitude -> the layers of one time step, batch last."""
        sine, cosine = sincos(phases)
        field = jnp.concatenate([amplitude * cosine, amplitude * sine], axis=-1)
        psi = conv_hwcb(field, self.conv_kernel, strides=2) + self.conv_bias[:, None]
        z = polar.gate(*jnp.split(psi, 2, axis=-1), hoisted)
        l2 = polar.rectify(z, self.conv_scale[:, None], self.conv_shift[:, None], axes=(0, 1))
        z = _dense(_flat(l2), self.hidden_kernel, self.hidden_bias)
        l3 = polar.rectify(z, self.hidden_scale[:, None], self.hidden_shift[:, None], axes=0)
        return {"l2": l2, "l3": l3, "l4": _dense(l3, self.output_kernel, self.output_bias)}

    def silent(self, batch: int, dtype: jnp.dtype) -> Layers:
        """Layers of magnitude 0, which pull nobody: what there is to look back at before the first step."""
        l2 = (self.size[0] // 2, self.size[1] // 2, self.channels, batch)
        shapes = {"l2": l2, "l3": (self.hidden, batch), "l4": (self.num_classes, batch)}
        return {name: polar.Polar(*(jnp.zeros(shape, dtype),) * 3) for name, shape in shapes.items()}


def _logits(layers: Layers) -> Array:
    """(B, K)."""
    return polar.contrast_logits(layers["l4"].magnitude, axis=0).T


def _feedback_field(kernels: dict[str, Array], rates: dict[str, Array | float], layers: Layers) -> Array:
    """Equation 6: rate_l F_l summed over the layers l that have a kernel, broadcastable to (H, W, C, 2 B)."""
    total = 0.0
    for name, kernel in kernels.items():
        z = layers[name]
        drive = jnp.tanh(z.magnitude)
        field = jnp.concatenate([drive * z.cosine, drive * z.sine], axis=-1)
        of_layer = conv_transpose_hwcb if name == "l2" else _pull_everywhere
        total = total + rates[name] * of_layer(field, kernel)
    return total


def _pull_everywhere(field: Array, kernel: Array) -> Array:
    """(inputs, B), (inputs, C) -> (C, B): the same at all pixels."""
    return jnp.matmul(kernel.T, field, precision="highest")


def _flat(z: polar.Polar) -> polar.Polar:
    return polar.Polar(*(x.reshape(-1, x.shape[-1]) for x in z))


def _dense(z: polar.Polar, kernel: Array, bias: Array) -> polar.Polar:
    """Equations 3 and 4 of a dense layer, features first: real part, imaginary part and magnitude in one product."""
    stacked = jnp.concatenate([*z.parts, z.magnitude], axis=-1)
    psi = jnp.matmul(kernel.T, stacked, precision="highest") + bias[:, None]
    return polar.gate(*jnp.split(psi, 3, axis=-1))


def _open_loop(step: Step, phases: Array, num_steps: int) -> Array:
    """Nothing pulls the phases but themselves: (T, H, W, C, B)."""
    return unroll(lambda phases: step(phases, None), phases, num_steps, collect=lambda phases: phases)[1]


def _closed_loop(
    step: Step, look: Callable[[Array], Layers], pull: Callable, phases: Array, layers: Layers, num_steps: int
) -> tuple[Array, Array, Layers]:
    """Every step's layers pull the next step's phases: trajectory (T, H, W, C, B), logits (T, B, K), last layers."""

    def both(state):
        phases = step(state[0], pull(state[1]))
        return phases, look(phases)

    collect = lambda state: (state[0], _logits(state[1]))  # noqa: E731
    (_, layers), (trajectory, logits) = unroll(both, (phases, layers), num_steps, collect=collect)
    return trajectory, logits, layers


def _classify(head: ComplexHead, shared: tuple, trajectory: Array, step_loss: Callable | None, targets: Array | None):
    """Logits at every step of a finished trajectory, and the mean of `step_loss`, one step at a time."""
    of_step = lambda shared, phases: _logits(head.apply(shared[0], phases, *shared[1]))  # noqa: E731
    if step_loss is None:
        return jax.lax.map(partial(of_step, shared), trajectory), None

    def scored(shared, phases, targets):
        logits = of_step(shared, phases)
        return step_loss(logits, targets), logits

    each = jax.tree.map(lambda x: jnp.broadcast_to(x, (len(trajectory), *x.shape)), targets)
    total, logits = sum_over(scored, shared, trajectory, each)
    return logits, total / len(trajectory)


def _batch_last(layers: Layers) -> Layers:
    return jax.tree.map(lambda x: jnp.moveaxis(jnp.asarray(x), 0, -1), layers)


class KomplexNet(nn.Module):
    """Multi-object classifier with phases in its first layer.

    Attributes:
        channels: C, oscillators a pixel.
        hidden: units of the dense layer.
        num_classes: K.
        kernel_size: odd size of the coupling kernel.
        rate, epsilon: of `kuramoto.conv_step`.
        num_steps: T, unless the call says otherwise.
        phases: `kuramoto` starts them at random and lets them synchronize; `random` leaves them so; `ideal` sets them
            by ground truth (`ideal_phases`). The last two have no dynamics.
        learn_kernel: False keeps the coupling kernel at its Gaussian start; it then is no parameter.
        feedback: which of l2, l3, l4 pull the first layer's phases from the second step on (equation 6).
        feedback_rates: of l2, l3 and l4, radians a step; those of layers without feedback have no effect. The defaults
            are the paper's with feedback from all three, where its own `rate` is 0.009.
        feedback_kernel_size: odd size of the transposed convolution from l2.
        method: of the neighbourhood sum, see `oscnets.dynamics.coupling`.
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

    @nn.compact
    def __call__(
        self,
        images: Array,
        *,
        phases0: Array | None = None,
        masks: Array | None = None,
        overlap: Array | None = None,
        num_steps: int | None = None,
        step_loss: Callable[[Array, Array], Array] | None = None,
        targets: Array | None = None,
        layers0: Layers | None = None,
    ) -> Output:
        """Run the dynamics and classify at every step.

        Args:
            images: (B, H, W, C_in), even H and W.
            phases0: (B, H, W, C) radians; None draws them, with the PRNG stream `phases`.
            masks, overlap: (B, H, W, G) and (B, H, W), for ideal phases to be drawn; no overlap if None.
            num_steps: T; None takes the attribute.
            step_loss: a scalar of (logits (B, K), targets). Its mean over time is then returned as `loss`, with its
                gradient taken step by step in one pass, which stores nothing of the head; the other outputs still
                carry their gradients, except `logits`.
            targets: handed to `step_loss`.
            layers0: `layers` of an earlier output, which the feedback of the first step then looks back at; together
                with its `phases` as phases0 this continues a run, for example on the next frame of a film.

        Raises:
            ValueError: images that are not 4-D or of odd size, phases of another shape, num_steps below 1, ideal phases
                without masks, another word for `phases`, feedback from other layers or without dynamics.
        """
        num_steps = self.num_steps if num_steps is None else num_steps
        self._check(images, phases0, num_steps)
        amplitude, kernel = self._amplitude(images), self._coupling_kernel()
        if phases0 is None:
            phases0 = self._draw(images, masks, overlap)
        phases0 = phases0.astype(amplitude.dtype)
        head = ComplexHead(amplitude.shape[:2], self.channels, self.hidden, self.num_classes, name="head")
        shared = (amplitude, head.hoist(amplitude))
        feedback_kernels = self._feedback_kernels()
        if self.is_initializing():  # All parameters exist by now, and what follows takes seconds to compile.
            return Output(None, phases0, phases0[None], jnp.moveaxis(amplitude, -1, 0), None, None)
        phases0, dynamics = jnp.moveaxis(phases0, 0, -1), self._dynamics(amplitude, kernel)
        head, variables = head.unbind()
        if feedback_kernels:
            layers0 = head.silent(*amplitude.shape[-1:], amplitude.dtype) if layers0 is None else _batch_last(layers0)
            look = lambda phases: head.apply(variables, phases, *shared)  # noqa: E731
            pull = partial(_feedback_field, feedback_kernels, dict(zip(LAYERS, self.feedback_rates, strict=True)))
            trajectory, logits, layers = _closed_loop(dynamics, look, pull, phases0, layers0, num_steps)
            loss = None if step_loss is None else jax.vmap(step_loss, (0, None))(logits, targets).mean()
        else:
            trajectory = phases0[None] if kernel is None else _open_loop(dynamics, phases0, num_steps)
            logits, loss = _classify(head, (variables, shared), trajectory, step_loss, targets)
            layers = head.apply(variables, trajectory[-1], *shared)
        trajectory, amplitude = jnp.moveaxis(trajectory, -1, 1), jnp.moveaxis(amplitude, -1, 0)
        layers = jax.tree.map(lambda x: jnp.moveaxis(x, -1, 0), layers)
        return Output(logits, trajectory[-1], trajectory, amplitude, loss, layers)

    def _draw(self, images: Array, masks: Array | None, overlap: Array | None) -> Array:
        key = self.make_rng("phases")
        if self.phases != "ideal":
            return random_phases(key, (*images.shape[:3], self.channels))
        if masks is None:
            raise ValueError("ideal phases need masks (B, H, W, G), or phases0, got neither")
        overlap = jnp.zeros(masks.shape[:-1], bool) if overlap is None else overlap
        return ideal_phases(jax.random.split(key, len(images)), masks, overlap, self.channels)

    def _amplitude(self, images: Array) -> Array:
        kernel = self.param("encoder_kernel", torch_uniform, (3, 3, images.shape[-1], self.channels))
        return nn.relu(conv_hwcb(jnp.moveaxis(images, 0, -1), kernel))

    def _coupling_kernel(self) -> Array | None:
        if self.phases != "kuramoto":
            return None
        gaussian = gaussian_kernel(self.kernel_size, self.channels)
        return self.param("coupling_kernel", lambda _: gaussian) if self.learn_kernel else gaussian

    def _feedback_kernels(self) -> dict[str, Array]:
        """(k, k, C, C) from l2, (inputs, C) from a dense layer; so small at the start that nothing feels them."""
        size = self.feedback_kernel_size
        shapes = {
            "l2": (size, size, self.channels, self.channels),
            "l3": (self.hidden, self.channels),
            "l4": (self.num_classes, self.channels),
        }
        start = nn.initializers.constant(1e-6)
        return {name: self.param(f"feedback_{name}_kernel", start, shapes[name]) for name in sorted(self.feedback)}

    def _dynamics(self, amplitude: Array, kernel: Array | None) -> Step | None:
        """One step of the phases as a function of (phases, external field)."""
        if kernel is None:
            return None
        prepared = coupling.prepare_kernel(
            kernel.astype(amplitude.dtype), amplitude.shape[:2], uniform=-self.epsilon, method=self.method
        )
        drive = jnp.tanh(amplitude)
        return lambda phases, field: kuramoto.conv_step_hwcb(phases, drive, prepared, rate=self.rate, external=field)

    def _check(self, images: Array, phases0: Array | None, num_steps: int) -> None:
        if images.ndim != 4 or images.shape[1] % 2 or images.shape[2] % 2:
            raise ValueError(f"images must be (B, H, W, C) with even H and W, got shape {images.shape}")
        if self.phases not in PHASES:
            raise ValueError(f"phases must be one of {', '.join(PHASES)}, got {self.phases!r}")
        expected = (*images.shape[:3], self.channels)
        if phases0 is not None and phases0.shape != expected:
            raise ValueError(f"phases0 must be {expected} for images {images.shape}, got {phases0.shape}")
        if num_steps < 1:
            raise ValueError(f"num_steps must be >= 1, got {num_steps}")
        if set(self.feedback) - set(LAYERS) or len(set(self.feedback)) != len(self.feedback):
            raise ValueError(f"feedback must be some of {', '.join(LAYERS)}, each once, got {self.feedback!r}")
        if self.feedback and self.phases != "kuramoto":
            raise ValueError(f"feedback needs the dynamics of phases='kuramoto', got {self.phases!r}")
        if len(self.feedback_rates) != len(LAYERS):
            raise ValueError(f"feedback_rates must be three, of {', '.join(LAYERS)}, got {self.feedback_rates!r}")
