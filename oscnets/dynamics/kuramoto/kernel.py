"""Phases coupled through a kernel (Muzellec, Alamia, Serre and VanRullen, 2025; equation numbers are theirs)."""

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax

from oscnets._inputs import broadcasting, floats, standard_promotion, whole_number
from oscnets._products.layout import from_hwcb, to_hwcb
from oscnets._sharding import batch_sharded
from oscnets.dynamics import coupling as couplings
from oscnets.dynamics._turns import counting_turns, from_start
from oscnets.phase import bounded_sincos, wrap


def conv_step(
    phases: Array,
    amplitude: Array,
    kernel: Array,
    *,
    rate: Array | float,
    epsilon: Array | float,
    method: couplings.Method = "auto",
) -> Array:
    """One step of phases that attract their neighbours and repel everything (KomplexNet, equation 1).

        phase += rate * [ sum_near kernel * b' sin(phase' - phase)  -  epsilon * sum_all b' sin(phase' - phase) ]
        b = tanh(amplitude)

    Args:
        phases: (..., H, W, C) radians.
        amplitude: (..., H, W, C) >= 0; a unit of amplitude 0 moves but does not act on others. Its leading axes
            broadcast against those of `phases`.
        kernel: (kh, kw, C_in, C_out) with odd sizes, C_in = C_out = C; cross-correlated, zero padded.
        rate: step size times gain, radians per step; a scalar, or an array that broadcasts to the phases: (C,) for
            channels, (B, 1, 1, 1) for images, (H, W, C) for oscillators.
        epsilon: strength of the global desynchronization of the oscillators that receive it, shaped like `rate`.
        method: how the neighbourhood sum is computed, see `oscnets.dynamics.coupling`; the result is the same.

    Returns:
        Phases after the step, of the broadcast shape, in the widest floating type of phases, amplitude and kernel.

    Raises:
        ValueError: shapes that do not fit together, a kernel of even size, an unknown method.
        TypeError: a sparse or complex array.
    """
    return conv_trajectory(phases, amplitude, kernel, rate=rate, epsilon=epsilon, num_steps=1, method=method)[0]


@standard_promotion
@batch_sharded("phases", core=3, out=1)
def conv_trajectory(
    phases: Array,
    amplitude: Array,
    kernel: Array,
    *,
    rate: Array | float,
    epsilon: Array | float,
    num_steps: int,
    method: couplings.Method = "auto",
) -> Array:
    """`num_steps` of `conv_step`, faster than a loop of it.

    The kernel is transformed once, and one layout is kept throughout. Inside the loop phases are wrapped, and their
    turns counted, so that they keep their accuracy over a long run. Arguments as for `conv_step`.

    Returns:
        (num_steps, ..., H, W, C): the phases after every step.
    """
    phases, amplitude, kernel = _check_conv(phases, amplitude, kernel)
    num_steps = whole_number("num_steps", num_steps)
    values = broadcasting(phases.shape, "phases", phases.dtype, rate=rate, epsilon=epsilon)
    return _conv_trajectory(phases, amplitude, kernel, *values, num_steps=num_steps, method=method)


@partial(jax.jit, static_argnames=("num_steps", "method"), inline=True)
def _conv_trajectory(phases, amplitude, kernel, rate, epsilon, *, num_steps: int, method: str) -> Array:
    lead, start = phases.shape[:-3], wrap(phases)
    rate = _per_unit(rate, phases)
    drive, prepared, epsilon = _conv_prepared(phases, amplitude, kernel, epsilon, method)
    stacked = conv_trajectory_hwcb(to_hwcb(start), drive, prepared, rate=rate, epsilon=epsilon, num_steps=num_steps)
    return from_start(phases, start, from_hwcb(stacked, lead))


def conv_step_hwcb(
    phases: Array,
    drive: Array,
    prepared: couplings.PreparedKernel,
    *,
    rate: Array | float,
    epsilon: Array | None = None,
    external: Array | None = None,
) -> Array:
    """Equation 1 in the layout (H, W, C, B), and equation 6 with an external field.

    With the field z = b e^{i phase} both sums are one linear map L of z: phase += rate * Im(e^{-i phase} L z).

    Args:
        phases: (H, W, C, B) radians, within 2.5e4.
        drive: b, of the same shape.
        prepared: by `coupling.prepare_kernel`, with -epsilon as its uniform coupling.
        rate: scalar, or (H, W, C, B).
        epsilon: (H, W, C, B), a desynchronization that differs between oscillators, beside that in `prepared`.
        external: (H, W, C, 2 B), real parts before imaginary ones: a field that acts on the same phases, before the
            step, as well. Its rates are in it.

    Returns:
        Phases after the step.
    """
    received = _received(phases, drive, prepared, epsilon)
    if external is None:
        return phases + rate * _force_of(phases, received)
    if jnp.ndim(rate):
        rate = jnp.concatenate([rate, rate], axis=-1)
    # The barrier lets the gradient of the whole field be computed once, for both of its parts.
    whole = lax.optimization_barrier(rate * received + external)
    return phases + _force_of(phases, whole)


def _received(phases: Array, drive: Array, prepared: couplings.PreparedKernel, epsilon: Array | None) -> Array:
    """L z, real parts before imaginary ones."""
    field = field_of(phases, drive)
    received = couplings.neighbourhood_sum(field, prepared)
    if epsilon is None:
        return received
    return received - jnp.concatenate([epsilon, epsilon], axis=-1) * field.sum((0, 1, 2))


# Recomputed for gradients: sines cost less than the memory that would hold them for every step of a trajectory.
@partial(jax.checkpoint, prevent_cse=False)
def field_of(phases: Array, drive: Array) -> Array:
    """(H, W, C, B) phases within 2.5e4 and b -> b e^{i phase}, (H, W, C, 2 B), real parts before imaginary ones."""
    sine, cosine = bounded_sincos(phases)
    return jnp.concatenate([drive * cosine, drive * sine], axis=-1)


@standard_promotion
def coupling_force(phases: Array, real: Array, imag: Array) -> Array:
    """Force of a complex field F on each phase, towards the angle of F: Im(e^{-i phase} F) (equation 6).

    Args:
        phases: (...) radians, within 2.5e4.
        real, imag: the two parts of F, broadcastable to the phases.

    Returns:
        Change of the phases, radians per unit of rate.
    """
    return _force(*floats(phases=phases, real=real, imag=imag))


def _towards(phases: Array, real: Array, imag: Array) -> Array:
    sine, cosine = bounded_sincos(phases)
    return cosine * imag - sine * real


_force = jax.checkpoint(_towards, prevent_cse=False)


# One array is stored for gradients, not two.
@partial(jax.checkpoint, prevent_cse=False)
def _force_of(phases: Array, field: Array) -> Array:
    """`_force` of a field (..., 2 B), real parts before imaginary ones."""
    return _towards(phases, *jnp.split(field, 2, axis=-1))


def conv_trajectory_hwcb(
    phases: Array,
    drive: Array,
    prepared: couplings.PreparedKernel,
    *,
    rate: Array | float,
    epsilon: Array | None = None,
    num_steps: int,
) -> Array:
    """(num_steps, H, W, C, B): the phases after every `conv_step_hwcb`, with arguments as there."""
    step = lambda phases, _: (conv_step_hwcb(phases, drive, prepared, rate=rate, epsilon=epsilon), None)  # noqa: E731
    return counting_turns(step, phases, None, num_steps=num_steps)[0]


@standard_promotion
@batch_sharded("phases", core=3)
def conv_vector_field(
    phases: Array, amplitude: Array, kernel: Array, *, epsilon: Array | float, method: couplings.Method = "auto"
) -> Array:
    """Velocity of phases for any solver, along which `conv_step` goes: the sums in brackets of equation 1.

    Args:
        phases, amplitude, kernel, epsilon, method: as for `conv_step`. The kernel is transformed at every call.

    Returns:
        (..., H, W, C) radians per unit of rate.

    Raises:
        ValueError, TypeError: as `conv_step`.
    """
    phases, amplitude, kernel = _check_conv(phases, amplitude, kernel)
    (epsilon,) = broadcasting(phases.shape, "phases", phases.dtype, epsilon=epsilon)
    return _conv_velocity(phases, amplitude, kernel, epsilon, method=method)


@partial(jax.jit, static_argnames="method", inline=True)
def _conv_velocity(phases, amplitude, kernel, epsilon, *, method: str) -> Array:
    # Wrapped, because the fast sines take phases of a limited size only.
    start = to_hwcb(wrap(phases))
    received = _received(start, *_conv_prepared(phases, amplitude, kernel, epsilon, method))
    return from_hwcb(coupling_force(start, *jnp.split(received, 2, axis=-1)), phases.shape[:-3])


def _conv_prepared(phases, amplitude, kernel, epsilon, method: str):
    """What `conv_step_hwcb` takes beside the phases: drive, prepared kernel, and an epsilon that differs by unit."""
    epsilon = _per_unit(epsilon, phases)
    uniform, epsilon = (-epsilon, None) if epsilon.ndim == 0 else (0.0, epsilon)
    sizes = {"image": phases.shape[-3:-1], "batch_size": 2 * math.prod(phases.shape[:-3])}
    prepared = couplings.prepare_kernel(kernel, **sizes, uniform=uniform, method=method)
    return jnp.tanh(to_hwcb(amplitude)), prepared, epsilon


def _per_unit(x: Array, phases: Array) -> Array:
    return x if x.ndim == 0 else to_hwcb(jnp.broadcast_to(x, phases.shape))


def _check_conv(phases: Array, amplitude: Array, kernel: Array) -> tuple[Array, Array, Array]:
    phases, amplitude, kernel = floats(phases=phases, amplitude=amplitude, kernel=kernel)
    if phases.ndim < 3 or amplitude.ndim < 3 or phases.shape[-3:] != amplitude.shape[-3:]:
        raise ValueError(f"phases and amplitude must both be (..., H, W, C), got {phases.shape} and {amplitude.shape}")
    if kernel.ndim != 4 or kernel.shape[2:] != (phases.shape[-1],) * 2:
        raise ValueError(
            f"kernel must be (kh, kw, C, C) for phases (..., H, W, C), got {kernel.shape} and {phases.shape}"
        )
    return *jnp.broadcast_arrays(phases, amplitude), kernel
