"""Kuramoto synchronization: phases coupled through kernels, graphs, or signed agreement.

State is the phase alone, in radians, never wrapped. In float32 a phase of 1e4 rad is known to 1e-3 only: a loop over
many turns keeps its frequencies where it wraps the state at every step (`oscnets.phase.wrap`), as the trajectories here
do. Equation numbers are
those of Muzellec, Alamia, Serre and VanRullen (2025) for the kernel, of Alamia, Muzellec, Serre and VanRullen (2025)
for the agreement.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax

from oscnets._inputs import broadcasting, floats, standard_promotion, whole_number
from oscnets._products.layout import from_hwcb, to_hwcb
from oscnets._sharding import batch_sharded
from oscnets.dynamics import coupling as couplings
from oscnets.dynamics._graph import Dense, Sparse, graph, graph_force, graph_velocity
from oscnets.dynamics._unroll import unroll
from oscnets.phase import bounded_sincos, bounded_wrap, sincos, wrap

__all__ = [
    "agreement_step",
    "conv_step",
    "conv_step_hwcb",
    "conv_trajectory",
    "conv_trajectory_hwcb",
    "coupling_force",
    "energy",
    "graph_step",
    "graph_trajectory",
    "vector_field",
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
    lead, image = phases.shape[:-3], phases.shape[-3:]
    rate, epsilon = (x if x.ndim == 0 else to_hwcb(jnp.broadcast_to(x, phases.shape)) for x in (rate, epsilon))
    uniform, epsilon = (-epsilon, None) if epsilon.ndim == 0 else (0.0, epsilon)
    prepared = couplings.prepare_kernel(kernel, image[:2], uniform=uniform, method=method)
    start, drive = wrap(phases), jnp.tanh(to_hwcb(amplitude))
    stacked = conv_trajectory_hwcb(to_hwcb(start), drive, prepared, rate=rate, epsilon=epsilon, num_steps=num_steps)
    return _from_start(phases, start, from_hwcb(stacked, lead))


def _from_start(phases: Array, wrapped: Array, stacked: Array) -> Array:
    """Phases of a run that began at `wrapped`, as if it had begun at `phases`, the same but for full turns."""
    phases, wrapped = lax.stop_gradient((phases, wrapped))
    return phases + (stacked - wrapped)


def _counting_turns(step: Callable[[Array], Array], phases: Array, num_steps: int, every: int = 1) -> Array:
    """The phases after every so many steps, of a loop whose state is wrapped and whose full turns are counted."""

    def both(state: tuple[Array, Array]) -> tuple[Array, Array]:
        wrapped, more = bounded_wrap(step(state[0]))
        return wrapped, state[1] + more

    many = both if every == 1 else lambda state: unroll(both, state, every)[0]
    unwrapped = lambda state: state[0] + (2 * jnp.pi) * state[1]  # noqa: E731
    return unroll(many, (phases, jnp.zeros_like(phases)), num_steps, collect=unwrapped)[1]


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
    field = _field(phases, drive)
    received = couplings.neighbourhood_sum(field, prepared)
    if epsilon is not None:
        received -= jnp.concatenate([epsilon, epsilon], axis=-1) * field.sum((0, 1, 2))
    if external is None:
        return phases + rate * coupling_force(phases, *jnp.split(received, 2, axis=-1))
    if jnp.ndim(rate):
        rate = jnp.concatenate([rate, rate], axis=-1)
    # The barrier lets the gradient of the whole field be computed once, for both of its parts.
    whole = lax.optimization_barrier(rate * received + external)
    return phases + coupling_force(phases, *jnp.split(whole, 2, axis=-1))


# Recomputed for gradients: sines cost less than the memory that would hold them for every step of a trajectory.
@partial(jax.checkpoint, prevent_cse=False)
def _field(phases: Array, drive: Array) -> Array:
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


@partial(jax.checkpoint, prevent_cse=False)
def _force(phases: Array, real: Array, imag: Array) -> Array:
    sine, cosine = bounded_sincos(phases)
    return cosine * imag - sine * real


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
    step = lambda phases: conv_step_hwcb(phases, drive, prepared, rate=rate, epsilon=epsilon)  # noqa: E731
    return _counting_turns(step, phases, num_steps)


@standard_promotion
@batch_sharded("phases", core=1)
def vector_field(
    phases: Array, coupling: Array, natural_frequency: Array | float = 0.0, *, phase_lag: Array | float = 0.0
) -> Array:
    """Velocity of Kuramoto oscillators on a graph, for any solver (Sakaguchi and Kuramoto, 1986, equation 1).

        d phase_i / dt = natural_frequency_i + sum_j coupling_ij sin(phase_j - phase_i - phase_lag_i)

    Args:
        phases, coupling, natural_frequency, phase_lag: as for `graph_step`.

    Returns:
        (..., N) radians per unit of time.

    Raises:
        ValueError, TypeError: as `graph_step`.
    """
    phases, coupling, shape = graph(phases, coupling)
    values = {"natural_frequency": natural_frequency, "phase_lag": phase_lag}
    frequency, lag = broadcasting(shape, "phases", phases.dtype, **values)
    return graph_velocity(phases, coupling, frequency, lag)


@standard_promotion
@batch_sharded("phases", core=1)
def graph_step(
    phases: Array,
    coupling: Array,
    *,
    rate: Array | float,
    natural_frequency: Array | float = 0.0,
    phase_lag: Array | float = 0.0,
) -> Array:
    """One Euler step of Kuramoto oscillators on a graph, along `vector_field`.

        phase_i += rate * (natural_frequency_i + sum_j coupling_ij sin(phase_j - phase_i - phase_lag_i))

    Args:
        phases: (..., N) radians.
        coupling: (..., N, N), row i receives; any sign. Or one sparse matrix (N, N) for all: a
            `jax.experimental.sparse.BCOO`, or one of SciPy's; time and memory then grow with its entries.
        rate: step size: a scalar, or broadcasting to the phases; for phases (N,) also a column (N, 1).
        natural_frequency: radians per unit of time, a scalar or broadcasting to the phases: (N,), or (..., N).
        phase_lag: radians, of the oscillator that receives, shaped like `natural_frequency`.

    Returns:
        Phases after the step, (..., N), in the widest floating type of phases and coupling.

    Raises:
        ValueError: a coupling that is not square or does not fit the phases; a rate, natural frequency or phase lag
            that does not.
        TypeError: a complex array, or a sparse one of another kind.
    """
    phases, coupling, values = _oscillators(phases, coupling, rate, natural_frequency, phase_lag)
    return _graph_step(phases, coupling, *values)


def _oscillators(phases, coupling, rate, natural_frequency, phase_lag):
    phases, coupling, shape = graph(phases, coupling)
    values = {"rate": _row(rate, shape), "natural_frequency": natural_frequency, "phase_lag": phase_lag}
    return jnp.broadcast_to(phases, shape), coupling, broadcasting(shape, "phases", phases.dtype, **values)


def _graph_step(phases: Array, coupling: Dense | Sparse, rate: Array, frequency: Array, lag: Array) -> Array:
    return phases + rate * graph_velocity(phases, coupling, frequency, lag)


@standard_promotion
@batch_sharded("phases", core=1, out=1)
def graph_trajectory(
    phases: Array,
    coupling: Array,
    *,
    rate: Array | float,
    natural_frequency: Array | float = 0.0,
    phase_lag: Array | float = 0.0,
    num_steps: int,
    every: int = 1,
) -> Array:
    """`num_steps` of `graph_step`. Arguments and errors as there.

    Inside the loop phases are wrapped and their turns counted, so that frequencies are kept over millions of steps.

    Args:
        phases, coupling, rate, natural_frequency, phase_lag: as for `graph_step`.
        num_steps: number of steps, a multiple of `every`.
        every: keeps the phases of every so many steps only; `every=num_steps` the last ones.

    Returns:
        (num_steps / every, ..., N): phases, radians, never wrapped.
    """
    phases, coupling, values = _oscillators(phases, coupling, rate, natural_frequency, phase_lag)
    num_steps, every = whole_number("num_steps", num_steps), whole_number("every", every, 1)
    if num_steps % every:
        raise ValueError(f"num_steps must be a multiple of every={every}, got {num_steps}")
    return _graph_trajectory(phases, coupling, *values, num_steps=num_steps // every, every=every)


@partial(jax.jit, static_argnames=("num_steps", "every"), inline=True)
def _graph_trajectory(phases, coupling, rate, frequency, lag, *, num_steps: int, every: int) -> Array:
    start = wrap(phases)
    step = lambda phases: _graph_step(phases, coupling, rate, frequency, lag)  # noqa: E731
    return _from_start(phases, start, _counting_turns(step, start, num_steps, every))


@standard_promotion
@batch_sharded("phases", core=1)
def agreement_step(phases: Array, coupling: Array, *, rate: Array | float, floor: float = 1e-6) -> Array:
    """One step towards agreement, normalized by the total absolute coupling received (GASPnet, equation 3).

        phase_i += rate * sum_j r_ij sin(phase_j - phase_i) / (sum_j |r_ij| + floor)

    Args:
        phases: (..., N) radians.
        coupling: r, (..., N, N), any sign; negative entries repel. Or sparse, as for `graph_step`.
        rate: bounds the step: no phase moves by more than `rate` radians. Shaped as for `graph_step`.
        floor: added to the denominator: without input the phase is unchanged, with finite gradients.

    Returns:
        Phases after the step, as for `graph_step`.

    Raises:
        ValueError: a coupling that is not square or does not fit the phases, a rate that does not.
        TypeError: a complex array, or a sparse one of another kind.
    """
    phases, coupling, shape = graph(phases, coupling)
    rate, floor = broadcasting(shape, "phases", phases.dtype, rate=_row(rate, shape), floor=floor)
    return phases + rate * graph_force(phases, coupling) / (coupling.strength() + floor)


@standard_promotion
@batch_sharded("phases", core=1)
def energy(phases: Array, coupling: Array) -> Array:
    """Energy -1/2 sum_ij coupling_ij cos(phase_i - phase_j), which a symmetric `graph_step` descends (equation 9).

    Args:
        phases: (..., N) radians.
        coupling: (..., N, N), or sparse, as for `graph_step`.

    Returns:
        (...,). In the continuous-time limit it never rises while the natural frequencies are 0 and the coupling
        symmetric.

    Raises:
        ValueError, TypeError: as `graph_step`.
    """
    phases, coupling, _ = graph(phases, coupling)
    sine, cosine = sincos(phases)
    aligned = cosine * coupling.received(cosine) + sine * coupling.received(sine)
    return -0.5 * aligned.sum(-1)


def _row(rate: Array | float, shape: tuple[int, ...]) -> Array:
    """A column (N, 1) for phases (N,) as (N,)."""
    (rate,) = floats(rate=rate)
    return rate.reshape(shape) if rate.shape == (*shape, 1) and len(shape) == 1 else rate


def _check_conv(phases: Array, amplitude: Array, kernel: Array) -> tuple[Array, Array, Array]:
    phases, amplitude, kernel = floats(phases=phases, amplitude=amplitude, kernel=kernel)
    if phases.ndim < 3 or amplitude.ndim < 3 or phases.shape[-3:] != amplitude.shape[-3:]:
        raise ValueError(f"phases and amplitude must both be (..., H, W, C), got {phases.shape} and {amplitude.shape}")
    if kernel.ndim != 4 or kernel.shape[2:] != (phases.shape[-1],) * 2:
        raise ValueError(
            f"kernel must be (kh, kw, C, C) for phases (..., H, W, C), got {kernel.shape} and {phases.shape}"
        )
    return *jnp.broadcast_arrays(phases, amplitude), kernel
