"""Kuramoto synchronization: phases coupled through kernels, graphs, or signed agreement.

State is the phase alone, in radians, never wrapped. Equation numbers are those of Muzellec, Alamia, Serre and VanRullen
(2025) for the kernel, of Alamia, Muzellec, Serre and VanRullen (2025) for the agreement.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax

from oscnets._products.layout import from_hwcb, to_hwcb
from oscnets.dynamics import coupling as couplings
from oscnets.dynamics._unroll import unroll
from oscnets.phase import sincos

__all__ = [
    "agreement_step",
    "conv_step",
    "conv_step_hwcb",
    "conv_trajectory",
    "conv_trajectory_hwcb",
    "coupling_force",
    "energy",
    "graph_step",
]


def __dir__() -> list[str]:
    return __all__


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
        rate: step size times gain, radians per step.
        epsilon: strength of the global desynchronization.
        method: how the neighbourhood sum is computed, see `oscnets.dynamics.coupling`; the result is the same.

    Returns:
        Phases after the step, of the broadcast shape.

    Raises:
        ValueError: shapes that do not fit together, a kernel of even size, an unknown method.
    """
    return conv_trajectory(phases, amplitude, kernel, rate=rate, epsilon=epsilon, num_steps=1, method=method)[0]


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

    The kernel is transformed once, and one layout is kept throughout. Arguments as for `conv_step`.

    Returns:
        (num_steps, ..., H, W, C): the phases after every step.
    """
    phases, amplitude = _check_conv(phases, amplitude, kernel)
    lead, image = phases.shape[:-3], phases.shape[-3:]
    prepared = couplings.prepare_kernel(jnp.asarray(kernel, phases.dtype), image[:2], uniform=-epsilon, method=method)
    drive = jnp.tanh(to_hwcb(amplitude))
    stacked = conv_trajectory_hwcb(to_hwcb(phases), drive, prepared, rate=rate, num_steps=num_steps)
    return from_hwcb(stacked, lead)


def conv_step_hwcb(
    phases: Array,
    drive: Array,
    prepared: couplings.PreparedKernel,
    *,
    rate: Array | float,
    external: Array | None = None,
) -> Array:
    """Equation 1 in the layout (H, W, C, B), and equation 6 with an external field.

    With the field z = b e^{i phase} both sums are one linear map L of z: phase += rate * Im(e^{-i phase} L z).

    Args:
        phases: (H, W, C, B) radians.
        drive: b, of the same shape.
        prepared: by `coupling.prepare_kernel`, with -epsilon as its uniform coupling.
        rate: as for `conv_step`.
        external: (H, W, C, 2 B), real parts before imaginary ones: a field that acts on the same phases, before the
            step, as well. Its rates are in it.

    Returns:
        Phases after the step.
    """
    received = couplings.neighbourhood_sum(_field(phases, drive), prepared)
    if external is None:
        return phases + rate * coupling_force(phases, *jnp.split(received, 2, axis=-1))
    # The barrier lets the gradient of the whole field be computed once, for both of its parts.
    whole = lax.optimization_barrier(rate * received + external)
    return phases + coupling_force(phases, *jnp.split(whole, 2, axis=-1))


# Recomputed for gradients: sines cost less than the memory that would hold them for every step of a trajectory.
@partial(jax.checkpoint, prevent_cse=False)
def _field(phases: Array, drive: Array) -> Array:
    sine, cosine = sincos(phases)
    return jnp.concatenate([drive * cosine, drive * sine], axis=-1)


@partial(jax.checkpoint, prevent_cse=False)
def coupling_force(phases: Array, real: Array, imag: Array) -> Array:
    """Force of a complex field F on each phase, towards the angle of F: Im(e^{-i phase} F) (equation 6).

    Args:
        phases: (...) radians.
        real, imag: the two parts of F, broadcastable to the phases.

    Returns:
        Change of the phases, radians per unit of rate.
    """
    sine, cosine = sincos(phases)
    return cosine * imag - sine * real


def conv_trajectory_hwcb(
    phases: Array, drive: Array, prepared: couplings.PreparedKernel, *, rate: Array | float, num_steps: int
) -> Array:
    """(num_steps, H, W, C, B): the phases after every `conv_step_hwcb`, with arguments as there."""
    step = lambda phases: conv_step_hwcb(phases, drive, prepared, rate=rate)  # noqa: E731
    return unroll(step, phases, num_steps, collect=lambda phases: phases)[1]


def graph_step(phases: Array, coupling: Array, *, rate: Array | float, natural_frequency: Array | float = 0.0) -> Array:
    """One Euler step of Kuramoto oscillators on a graph.

        phase_i += rate * (natural_frequency_i + sum_j coupling_ij sin(phase_j - phase_i))

    Args:
        phases: (..., N) radians.
        coupling: (..., N, N), row i receives; any sign.
        rate: step size.
        natural_frequency: radians per unit of time, scalar or (..., N).

    Raises:
        ValueError: a coupling that is not square or does not fit the phases.
    """
    phases, coupling = _check_graph(phases, coupling)
    return phases + rate * (natural_frequency + _graph_force(phases, coupling))


def agreement_step(phases: Array, coupling: Array, *, rate: Array | float, floor: float = 1e-6) -> Array:
    """One step towards agreement, normalized by the total absolute coupling received (GASPnet, equation 3).

        phase_i += rate * sum_j r_ij sin(phase_j - phase_i) / (sum_j |r_ij| + floor)

    Args:
        phases: (..., N) radians.
        coupling: r, (..., N, N), any sign; negative entries repel.
        rate: bounds the step: no phase moves by more than `rate` radians.
        floor: added to the denominator: without input the phase is unchanged, with finite gradients.

    Raises:
        ValueError: a coupling that is not square or does not fit the phases.
    """
    phases, coupling = _check_graph(phases, coupling)
    return phases + rate * _graph_force(phases, coupling) / (jnp.abs(coupling).sum(-1) + floor)


def energy(phases: Array, coupling: Array) -> Array:
    """Energy -1/2 sum_ij coupling_ij cos(phase_i - phase_j), which a symmetric `graph_step` descends (equation 9).

    Args:
        phases: (..., N) radians.
        coupling: (..., N, N).

    Returns:
        (...,). In the continuous-time limit it never rises while the natural frequencies are 0 and the coupling
        symmetric.
    """
    phases, coupling = _check_graph(phases, coupling)
    sine, cosine = sincos(phases)
    aligned = cosine * _matvec(coupling, cosine) + sine * _matvec(coupling, sine)
    return -0.5 * aligned.sum(-1)


def _matvec(matrix: Array, vector: Array) -> Array:
    return jnp.einsum("...ij,...j->...i", matrix, vector, precision="highest")


def _graph_force(phases: Array, coupling: Array) -> Array:
    """sum_j coupling_ij sin(phase_j - phase_i), through the field: no (N, N) array of differences."""
    sine, cosine = sincos(phases)
    return cosine * _matvec(coupling, sine) - sine * _matvec(coupling, cosine)


def _check_graph(phases: Array, coupling: Array) -> tuple[Array, Array]:
    phases, coupling = jnp.asarray(phases), jnp.asarray(coupling)
    if phases.ndim < 1 or coupling.ndim < 2 or coupling.shape[-2:] != (phases.shape[-1],) * 2:
        raise ValueError(f"coupling must be (..., N, N) for phases (..., N), got {coupling.shape} and {phases.shape}")
    return phases, coupling


def _check_conv(phases: Array, amplitude: Array, kernel: Array) -> tuple[Array, Array]:
    phases, amplitude, shape = jnp.asarray(phases), jnp.asarray(amplitude), jnp.shape(kernel)
    if phases.ndim < 3 or amplitude.ndim < 3 or phases.shape[-3:] != amplitude.shape[-3:]:
        raise ValueError(f"phases and amplitude must both be (..., H, W, C), got {phases.shape} and {amplitude.shape}")
    if len(shape) != 4 or shape[2:] != (phases.shape[-1],) * 2:
        raise ValueError(f"kernel must be (kh, kw, C, C) for phases (..., H, W, C), got {shape} and {phases.shape}")
    phases, amplitude = jnp.broadcast_arrays(phases, amplitude)
    dtype = jnp.result_type(phases, amplitude, float if phases.dtype.kind != "f" else phases)
    return phases.astype(dtype), amplitude.astype(dtype)
