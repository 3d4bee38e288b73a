"""Kuramoto oscillators on graphs beyond the plain step: noise, inertia, delays, forcing, natural frequencies.

Couplings are dense or sparse, as in `oscnets.dynamics.kuramoto`. Random numbers come from explicit keys: the same key
gives the same run.
"""

from functools import partial
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
from jax import Array, lax

from oscnets._inputs import (
    at_least_float32,
    broadcasting,
    concrete,
    dense_array,
    floats,
    standard_promotion,
    whole_number,
)
from oscnets._sharding import batch_sharded
from oscnets.dynamics._graph import (
    Forcing,
    Harmonics,
    Sparse,
    from_networkx,
    graph,
    graph_velocity,
    make_oscillators,
    velocity,
)
from oscnets.dynamics._turns import steps, trajectory
from oscnets.phase import powers, sincos

__all__ = [
    "Distribution",
    "Forcing",
    "Harmonics",
    "delayed_trajectory",
    "from_networkx",
    "inertial_step",
    "inertial_trajectory",
    "natural_frequencies",
    "noisy_step",
    "noisy_trajectory",
]

Distribution = Literal["lorentzian", "gaussian", "uniform"]


def __dir__() -> list[str]:
    return __all__


@standard_promotion
def natural_frequencies(
    key: Array | None,
    num_oscillators: int,
    *,
    distribution: Distribution = "lorentzian",
    centre: Array | float = 0.0,
    width: Array | float = 1.0,
) -> Array:
    """Natural frequencies of a population.

    Args:
        key: PRNG key; None takes the quantiles at (n + 1/2) / N, in ascending order, instead of drawing.
        num_oscillators: N.
        distribution: "lorentzian" of half width `width` at half height, "gaussian" of standard deviation `width`, or
            "uniform" within `width` of the centre.
        centre, width: radians per unit of time, scalars.

    Returns:
        (N,) radians per unit of time, in the floating type of centre and width.

    Raises:
        ValueError: an unknown distribution.
    """
    count = whole_number("num_oscillators", num_oscillators, 1)
    if distribution not in get_args(Distribution):
        raise ValueError(f"distribution must be one of {', '.join(get_args(Distribution))}, got {distribution!r}")
    centre, width = floats(centre=centre, width=width)
    dtype, wide = width.dtype, at_least_float32(width.dtype)
    if key is None:
        shares = (jnp.arange(count, dtype=wide) + 0.5) / count
    else:
        shares = jax.random.uniform(key, (count,), wide, minval=jnp.finfo(wide).tiny)
    if distribution == "lorentzian":
        offsets = jnp.tan(jnp.pi * (shares - 0.5))
    elif distribution == "gaussian":
        offsets = jax.scipy.special.ndtri(shares)
    else:
        offsets = 2 * shares - 1
    return centre + width * offsets.astype(dtype)


@standard_promotion
@batch_sharded("phases", core=1)
def noisy_step(
    phases: Array,
    coupling: Array,
    key: Array,
    *,
    dt: Array | float,
    noise: Array | float,
    natural_frequency: Array | float = 0.0,
    phase_lag: Array | float = 0.0,
    harmonics: Harmonics | None = None,
    forcing: Forcing | None = None,
    time: Array | float = 0.0,
) -> Array:
    """One Euler-Maruyama step: phase += dt * vector_field + noise sqrt(dt) * normal numbers.

    Of the stochastic equation d phase = vector_field dt + noise dW. Since the noise does not depend on the phases, the
    strong order is 1, as the weak one.

    Args:
        phases, coupling, natural_frequency, phase_lag, harmonics, forcing, time: as for
            `oscnets.dynamics.kuramoto.graph_step`.
        key: PRNG key; every oscillator receives its own number.
        dt: time step > 0, a scalar or broadcasting to the phases.
        noise: radians per square root of time, a scalar or broadcasting to the phases.

    Returns:
        Phases after the step, (..., N).

    Raises:
        ValueError, TypeError: as `oscnets.dynamics.kuramoto.graph_step`.
    """
    parameters = (natural_frequency, phase_lag, harmonics, forcing, time)
    phases, matrix, oscillators, values = _prepare(phases, coupling, parameters, dt=dt, noise=noise)
    return _noisy_step(phases, oscillators.forcing_phase(), key, matrix, oscillators, *values)


def _prepare(phases, coupling, parameters, **values):
    """Phases of the shape of both phases and coupling, the coupling as the dynamics take it, oscillators and values."""
    phases, matrix, shape = graph(phases, coupling)
    arrays = broadcasting(shape, "phases", phases.dtype, **values)
    oscillators = make_oscillators(shape, phases.dtype, *parameters, dt=arrays[0])
    return jnp.broadcast_to(phases, shape), matrix, oscillators, arrays


def _noisy_step(phases, forcing_phase, key, matrix, oscillators, dt, noise):
    normal = jax.random.normal(key, phases.shape, at_least_float32(phases.dtype)).astype(phases.dtype)
    return phases + dt * graph_velocity(phases, matrix, oscillators, forcing_phase) + noise * jnp.sqrt(dt) * normal


@standard_promotion
@batch_sharded("phases", core=1, out=1)
def noisy_trajectory(
    phases: Array,
    coupling: Array,
    key: Array,
    *,
    dt: Array | float,
    noise: Array | float,
    natural_frequency: Array | float = 0.0,
    phase_lag: Array | float = 0.0,
    harmonics: Harmonics | None = None,
    forcing: Forcing | None = None,
    time: Array | float = 0.0,
    num_steps: int,
    every: int = 1,
) -> Array:
    """`num_steps` of `noisy_step`; step t draws from `jax.random.fold_in(key, t)`, t = 0, 1, ...

    Args:
        phases, coupling, key, dt, noise, natural_frequency, phase_lag, harmonics, forcing: as for `noisy_step`.
        time, num_steps, every: as for `oscnets.dynamics.kuramoto.graph_trajectory`.

    Returns:
        (num_steps / every, ..., N) radians, never wrapped.

    Raises:
        ValueError, TypeError: as `noisy_step`.
    """
    parameters = (natural_frequency, phase_lag, harmonics, forcing, time)
    phases, matrix, oscillators, values = _prepare(phases, coupling, parameters, dt=dt, noise=noise)
    return _noisy_trajectory(phases, key, matrix, oscillators, *values, **steps(num_steps, every))


@partial(jax.jit, static_argnames=("num_steps", "every"), inline=True)
def _noisy_trajectory(phases, key, matrix, oscillators, dt, noise, *, num_steps: int, every: int) -> Array:
    def step(phases: Array, rest: Any) -> tuple[Array, Any]:
        t, forcing_phase = rest
        phases = _noisy_step(phases, forcing_phase, jax.random.fold_in(key, t), matrix, oscillators, dt, noise)
        return phases, (t + 1, oscillators.advance(forcing_phase, dt))

    rest = jnp.zeros((), jnp.int32), oscillators.forcing_phase()
    return trajectory(step, phases, rest, num_steps=num_steps, every=every)[0]


@standard_promotion
@batch_sharded("phases", core=1, out=(0, 0))
def inertial_step(
    phases: Array,
    velocity: Array,
    coupling: Array,
    *,
    dt: Array | float,
    inertia: Array | float,
    damping: Array | float = 1.0,
    natural_frequency: Array | float = 0.0,
    phase_lag: Array | float = 0.0,
    harmonics: Harmonics | None = None,
    forcing: Forcing | None = None,
    time: Array | float = 0.0,
) -> tuple[Array, Array]:
    """One step of Kuramoto oscillators with inertia, the swing equation of power grids.

        inertia phase'' + damping phase' = natural_frequency + sum_j coupling sin(phase_j - phase_i - phase_lag)

    The velocity moves first, then the phases by the new velocity: symplectic where there is no damping.

    Args:
        phases, velocity: (..., N) radians, and radians per unit of time.
        coupling, natural_frequency, phase_lag, harmonics, forcing, time: as for
            `oscnets.dynamics.kuramoto.graph_step`; the frequency is that of an oscillator alone where damping is 1.
        dt: time step, a scalar or broadcasting to the phases.
        inertia: > 0, a scalar or broadcasting to the phases.
        damping: likewise, >= 0.

    Returns:
        Phases and velocities after the step.

    Raises:
        ValueError, TypeError: as `oscnets.dynamics.kuramoto.graph_step`.
    """
    values = {"dt": dt, "velocity": velocity, "inertia": inertia, "damping": damping}
    parameters = (natural_frequency, phase_lag, harmonics, forcing, time)
    phases, matrix, oscillators, (dt, velocity, *values) = _prepare(phases, coupling, parameters, **values)
    return _inertial_step(phases, velocity, oscillators.forcing_phase(), matrix, oscillators, dt, *values)


def _inertial_step(phases, velocity, forcing_phase, matrix, oscillators, dt, inertia, damping):
    force = graph_velocity(phases, matrix, oscillators, forcing_phase)
    velocity = velocity + dt * (force - damping * velocity) / inertia
    return phases + dt * velocity, velocity


@standard_promotion
@batch_sharded("phases", core=1, out=(1, 1))
def inertial_trajectory(
    phases: Array,
    velocity: Array,
    coupling: Array,
    *,
    dt: Array | float,
    inertia: Array | float,
    damping: Array | float = 1.0,
    natural_frequency: Array | float = 0.0,
    phase_lag: Array | float = 0.0,
    harmonics: Harmonics | None = None,
    forcing: Forcing | None = None,
    time: Array | float = 0.0,
    num_steps: int,
    every: int = 1,
) -> tuple[Array, Array]:
    """`num_steps` of `inertial_step`, with arguments and errors as there; `time` is that before the first step.

    Returns:
        Phases and velocities after every so many steps, (num_steps / every, ..., N) each.
    """
    values = {"dt": dt, "velocity": velocity, "inertia": inertia, "damping": damping}
    parameters = (natural_frequency, phase_lag, harmonics, forcing, time)
    phases, matrix, oscillators, (dt, velocity, *values) = _prepare(phases, coupling, parameters, **values)
    velocity = jnp.broadcast_to(velocity, phases.shape)
    return _inertial_trajectory(phases, velocity, matrix, oscillators, dt, *values, **steps(num_steps, every))


@partial(jax.jit, static_argnames=("num_steps", "every"), inline=True)
def _inertial_trajectory(phases, velocity, matrix, oscillators, dt, inertia, damping, *, num_steps: int, every: int):
    def step(phases: Array, rest: Any) -> tuple[Array, Any]:
        velocity, forcing_phase = rest
        phases, velocity = _inertial_step(phases, velocity, forcing_phase, matrix, oscillators, dt, inertia, damping)
        return phases, (velocity, oscillators.advance(forcing_phase, dt))

    options = {"num_steps": num_steps, "every": every, "keep": lambda rest: rest[0]}
    return trajectory(step, phases, (velocity, oscillators.forcing_phase()), **options)


@standard_promotion
@batch_sharded("history", core=2, out=1)
def delayed_trajectory(
    history: Array,
    coupling: Array,
    delays: Array,
    *,
    rate: Array | float,
    natural_frequency: Array | float = 0.0,
    phase_lag: Array | float = 0.0,
    harmonics: Harmonics | None = None,
    forcing: Forcing | None = None,
    time: Array | float = 0.0,
    num_steps: int,
) -> Array:
    """Kuramoto oscillators that hear each other late, by Euler steps.

        phase_i(t + 1) = phase_i(t) + rate (natural_frequency_i
                         + sum_j coupling_ij H(phase_j(t - delay_ij) - phase_i(t) - phase_lag) + forcing)

    Sines and cosines of the last H steps are kept in a ring buffer.

    Args:
        history: (..., H, N) radians: the phases before the run, the last of them the present ones; H is larger than
            every delay.
        coupling: (N, N), row i receives, or sparse as for `oscnets.dynamics.kuramoto.graph_step`.
        delays: whole steps >= 0, (N, N) or a scalar; for a sparse coupling one for each of its entries, in their
            order.
        rate, natural_frequency, phase_lag, harmonics, forcing, time: as for
            `oscnets.dynamics.kuramoto.graph_trajectory`; scalars or (N,).
        num_steps: T.

    Returns:
        (T, ..., N): the phases after every step, radians, never wrapped.

    Raises:
        ValueError: shapes that do not fit; delays that are negative, not whole, or not shorter than the history.
        TypeError: as `oscnets.dynamics.kuramoto.graph_step`.
    """
    (history,) = floats(history=history)
    if history.ndim < 2 or not history.shape[-2]:
        raise ValueError(f"history must be (..., H, N) with H >= 1, got shape {history.shape}")
    phases, matrix, _ = graph(history[..., -1, :], coupling)
    history = history.astype(phases.dtype)
    edges, delays = _edges(matrix, delays, history.shape[-2])
    shape, dtype = phases.shape[-1:], phases.dtype
    (rate,) = broadcasting(shape, "units", dtype, rate=rate)
    values = natural_frequency, phase_lag, harmonics, forcing, time
    oscillators = make_oscillators(shape, dtype, *values, dt=rate)
    return _delayed(history, edges, delays, rate, oscillators, num_steps=whole_number("num_steps", num_steps))


def _edges(matrix, delays, length: int) -> tuple[Sparse, Array]:
    """The entries of a coupling one by one, and their delays."""
    delays = dense_array("delays", delays)
    values = concrete(delays)
    if not jnp.issubdtype(delays.dtype, jnp.integer):
        if values is not None and (values != values.round()).any():
            raise ValueError(f"delays must be whole numbers of steps, got {delays.dtype}")
        delays = delays.astype(jnp.int32)
    if values is not None and values.size and not (values.min() >= 0 and values.max() < length):
        raise ValueError(f"delays must lie in 0 to {length - 1} for a history of {length}, got {values.max()}")
    shape = matrix.values.shape if isinstance(matrix, Sparse) else matrix.matrix.shape
    if delays.shape not in ((), shape):
        raise ValueError(f"delays must be a scalar or {shape}, one for each coupling, got shape {delays.shape}")
    delays = jnp.broadcast_to(delays, shape).ravel()
    if isinstance(matrix, Sparse):
        return matrix, delays
    if matrix.matrix.ndim != 2:
        raise ValueError(f"coupling must be (N, N), got shape {matrix.matrix.shape}")
    rows, columns = jnp.indices(shape).reshape(2, -1)
    return Sparse(rows, columns, matrix.matrix.ravel(), jnp.zeros(shape[:1], matrix.matrix.dtype)), delays


@partial(jax.jit, static_argnames="num_steps", inline=True)
def _delayed(history, edges: Sparse, delays, rate, oscillators, *, num_steps: int) -> Array:
    length = history.shape[-2]

    def step(phases: Array, rest: Any) -> tuple[Array, Any]:
        sines, cosines, now, forcing_phase = rest
        slots = (now - delays) % length
        late = powers(*(x[..., slots, edges.columns] for x in (cosines, sines)), oscillators.num_harmonics())

        def received(m: int, *_: Array) -> tuple[Array, Array]:
            cosine, sine = late[m - 1]
            return edges.over_columns(edges.values * cosine, edges.values * sine)

        phases = phases + rate * velocity(phases, received, oscillators, forcing_phase)
        now = (now + 1) % length
        write = lambda ring, x: lax.dynamic_update_index_in_dim(ring, x, now, ring.ndim - 2)  # noqa: E731
        sines, cosines = map(write, (sines, cosines), sincos(phases))
        return phases, (sines, cosines, now, oscillators.advance(forcing_phase, rate))

    rest = (*sincos(history), jnp.asarray(length - 1), oscillators.forcing_phase())
    return trajectory(step, history[..., -1, :], rest, num_steps=num_steps)[0]
