"""Phases coupled on a graph, by couplings of any kind or by signed agreement.

Equation numbers are those of Alamia, Muzellec, Serre and VanRullen (2025) for the agreement, of Muzellec, Alamia, Serre
and VanRullen (2025) for the energy.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from oscnets._inputs import broadcasting, floats, standard_promotion
from oscnets._sharding import batch_sharded
from oscnets.dynamics._graph import Forcing, Harmonics, graph, graph_force, graph_velocity, make_oscillators
from oscnets.dynamics._turns import steps, trajectory
from oscnets.phase import sincos


@standard_promotion
@batch_sharded("phases", core=1)
def vector_field(
    phases: Array,
    coupling: Array,
    natural_frequency: Array | float = 0.0,
    *,
    phase_lag: Array | float = 0.0,
    harmonics: Harmonics | None = None,
    forcing: Forcing | None = None,
    time: Array | float = 0.0,
) -> Array:
    """Velocity of Kuramoto oscillators on a graph, for any solver (Sakaguchi and Kuramoto, 1986, equation 1).

        d phase_i / dt = natural_frequency_i + sum_j coupling_ij H(phase_j - phase_i - phase_lag_i) + forcing

    The coupling function H is the sine unless `harmonics` say otherwise.

    Args:
        phases, coupling, natural_frequency, phase_lag, harmonics, forcing, time: as for `graph_step`.

    Returns:
        (..., N) radians per unit of time.

    Raises:
        ValueError, TypeError: as `graph_step`.
    """
    phases, coupling, shape = graph(phases, coupling)
    values = natural_frequency, phase_lag, harmonics, forcing, time
    oscillators = make_oscillators(shape, phases.dtype, *values)
    return graph_velocity(phases, coupling, oscillators, oscillators.forcing_phase())


@standard_promotion
@batch_sharded("phases", core=1)
def graph_step(
    phases: Array,
    coupling: Array,
    *,
    rate: Array | float,
    natural_frequency: Array | float = 0.0,
    phase_lag: Array | float = 0.0,
    harmonics: Harmonics | None = None,
    forcing: Forcing | None = None,
    time: Array | float = 0.0,
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
        harmonics: `oscnets.dynamics.graphs.Harmonics`, the coupling function instead of the sine.
        forcing: `oscnets.dynamics.graphs.Forcing` from outside.
        time: of the forcing, before the step; a scalar, of which float32 keeps seven digits.

    Returns:
        Phases after the step, (..., N), in the widest floating type of phases and coupling.

    Raises:
        ValueError: a coupling that is not square or does not fit the phases; a rate, natural frequency, phase lag or
            value of the forcing that does not; harmonics that are not (M,); a time that is no scalar.
        TypeError: a complex array, or a sparse one of another kind.
    """
    values = natural_frequency, phase_lag, harmonics, forcing, time
    phases, coupling, rate, oscillators = _system(phases, coupling, rate, *values)
    return phases + rate * graph_velocity(phases, coupling, oscillators, oscillators.forcing_phase())


def _system(phases, coupling, rate, *values):
    phases, coupling, shape = graph(phases, coupling)
    (rate,) = broadcasting(shape, "phases", phases.dtype, rate=_row(rate, shape))
    return jnp.broadcast_to(phases, shape), coupling, rate, make_oscillators(shape, phases.dtype, *values, dt=rate)


@standard_promotion
@batch_sharded("phases", core=1, out=1)
def graph_trajectory(
    phases: Array,
    coupling: Array,
    *,
    rate: Array | float,
    natural_frequency: Array | float = 0.0,
    phase_lag: Array | float = 0.0,
    harmonics: Harmonics | None = None,
    forcing: Forcing | None = None,
    time: Array | float = 0.0,
    num_steps: int,
    every: int = 1,
) -> Array:
    """`num_steps` of `graph_step`. Arguments and errors as there.

    Inside the loop phases are wrapped and their turns counted, so that frequencies are kept over millions of steps.

    Args:
        phases, coupling, rate, natural_frequency, phase_lag, harmonics, forcing: as for `graph_step`.
        time: of the forcing before the first step.
        num_steps: number of steps, a multiple of `every`.
        every: keeps the phases of every so many steps only; `every=num_steps` the last ones.

    Returns:
        (num_steps / every, ..., N): phases, radians, never wrapped.
    """
    values = natural_frequency, phase_lag, harmonics, forcing, time
    system = _system(phases, coupling, rate, *values)
    return _graph_trajectory(*system, **steps(num_steps, every))


@partial(jax.jit, static_argnames=("num_steps", "every"), inline=True)
def _graph_trajectory(phases, coupling, rate, oscillators, *, num_steps: int, every: int) -> Array:
    def step(phases: Array, forcing_phase: Array | None) -> tuple[Array, Array | None]:
        velocity = graph_velocity(phases, coupling, oscillators, forcing_phase)
        return phases + rate * velocity, oscillators.advance(forcing_phase, rate)

    return trajectory(step, phases, oscillators.forcing_phase(), num_steps=num_steps, every=every)[0]


@standard_promotion
@batch_sharded("phases", core=1)
def agreement_vector_field(phases: Array, coupling: Array, *, floor: float = 1e-6) -> Array:
    """Velocity for any solver, along which `agreement_step` goes, (..., N) radians per unit of rate.

    Arguments and errors as there; couplings of queries and keys are those of `oscnets.dynamics.agreement.coupling`.
    """
    return _agreement(phases, coupling, floor)[2]


def _agreement(phases, coupling, floor):
    phases, coupling, shape = graph(phases, coupling)
    (floor,) = broadcasting(shape, "phases", phases.dtype, floor=floor)
    return phases, shape, graph_force(phases, coupling) / (coupling.strength() + floor)


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
    phases, shape, velocity = _agreement(phases, coupling, floor)
    (rate,) = broadcasting(shape, "phases", phases.dtype, rate=_row(rate, shape))
    return phases + rate * velocity


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
    along, across = coupling.received(cosine, sine)
    aligned = cosine * along + sine * across
    return -0.5 * aligned.sum(-1)


def _row(rate: Array | float, shape: tuple[int, ...]) -> Array:
    """A column (N, 1) for phases (N,) as (N,)."""
    (rate,) = floats(rate=rate)
    return rate.reshape(shape) if rate.shape == (*shape, 1) and len(shape) == 1 else rate
