"""Linear networks of complex numbers whose arguments are phases: the cv-RNN and an exact operator for Kuramoto's model.

    x_{k+1} = (diag(i natural_frequency) + e^{-i phase_lag} coupling) x_k

(Liboni, Budzinski, Busch, Loewe, Keller, Welling and Muller, 2025, equation 1), with the closed form of its powers by
eigenvectors. The modulus grows by orders of magnitude, so that states are divided by their largest modulus after every
step, and the logarithm of what was taken off is kept. A state is a pair, real and imaginary part.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from oscnets._inputs import at_least_float32, broadcasting, floats, largest, precision, standard_promotion, whole_number
from oscnets._sharding import batch_sharded
from oscnets.phase import angle, modulus, sincos, wrap

__all__ = [
    "States",
    "TwoLayers",
    "closed_form",
    "exact_operator",
    "exact_step",
    "gaussian_coupling",
    "linear_step",
    "linear_trajectory",
    "two_layers",
]


def __dir__() -> list[str]:
    return __all__


class States(NamedTuple):
    """States e^{log_scale} (real + i imag), after every step."""

    real: Array  # (T, ..., N), the largest modulus of a state is 1
    imag: Array
    log_scale: Array  # (T, ...)

    @property
    def phases(self) -> Array:
        """(T, ..., N) radians in [-pi, pi]; 0 where the state is 0."""
        return angle(self.real, self.imag)


class TwoLayers(NamedTuple):
    """Output of the cv-RNN of two layers."""

    background: Array  # (..., N) bool: the larger part of the first layer's units
    first: States  # of the first layer after every step
    second: States  # of the second layer; 0 in the background


@standard_promotion
@batch_sharded("real", core=1, out=(0, 0))
def linear_step(
    real: Array,
    imag: Array,
    coupling: Array,
    natural_frequency: Array | float,
    *,
    phase_lag: Array | float = 0.0,
) -> tuple[Array, Array]:
    """One step of the linear network, without rescaling.

    Args:
        real, imag: the two parts of the state x, (..., N).
        coupling: (N, N), row i receives.
        natural_frequency: w, radians per step, a scalar or broadcasting to (..., N).
        phase_lag: radians, a scalar.

    Returns:
        Both parts of (diag(i w) + e^{-i phase_lag} coupling) x.

    Raises:
        ValueError: shapes that do not fit together.
        TypeError: a sparse or complex array.
    """
    state, rest = _prepare(real, imag, coupling, natural_frequency, phase_lag)
    return _multiply(state, *rest)


def _prepare(real, imag, coupling, natural_frequency, phase_lag):
    real, imag, coupling = floats(real=real, imag=imag, coupling=coupling)
    _check(real.shape, coupling.shape)
    (imag,) = broadcasting(real.shape, "real", real.dtype, imag=imag)
    (frequency,) = broadcasting(real.shape, "real", real.dtype, natural_frequency=natural_frequency)
    (lag,) = broadcasting((), "one number", real.dtype, phase_lag=phase_lag)
    return (real, jnp.broadcast_to(imag, real.shape)), (coupling, frequency, lag)


def _check(state: tuple[int, ...], coupling: tuple[int, ...]) -> None:
    if not state or coupling != 2 * state[-1:]:
        raise ValueError(f"coupling must be (N, N) for states (..., N), got {coupling} and {state}")


def _multiply(state, coupling, frequency, lag):
    real, imag = state
    received = [jnp.einsum("ij,...j->...i", coupling, x, precision=precision()) for x in state]
    sine, cosine = sincos(lag)
    return (
        cosine * received[0] + sine * received[1] - frequency * imag,
        cosine * received[1] - sine * received[0] + frequency * real,
    )


def _rescale(state) -> tuple[tuple[Array, Array], Array]:
    """A state of largest modulus 1, and the logarithm of the modulus it had; 0 stays 0."""
    size = largest(modulus(*state), -1, keepdims=True)
    size = jnp.where(size == 0, 1, size)
    return (state[0] / size, state[1] / size), jnp.log(size[..., 0])


@standard_promotion
@batch_sharded("real", core=1, out=States(1, 1, 1))  # type: ignore[arg-type]
def linear_trajectory(
    real: Array,
    imag: Array,
    coupling: Array,
    natural_frequency: Array | float,
    *,
    num_steps: int,
    phase_lag: Array | float = 0.0,
) -> States:
    """`num_steps` of `linear_step`, rescaled after every step, so that float32 does not overflow.

    Args:
        real, imag, coupling, natural_frequency, phase_lag: as for `linear_step`.
        num_steps: T.

    Returns:
        `States` after every step.

    Raises:
        ValueError, TypeError: as `linear_step`.
    """
    state, rest = _prepare(real, imag, coupling, natural_frequency, phase_lag)
    return States(*_trajectory(state, *rest, num_steps=whole_number("num_steps", num_steps)))


@partial(jax.jit, static_argnames="num_steps", inline=True)
def _trajectory(state, coupling, frequency, lag, *, num_steps: int):
    dtype = coupling.dtype
    wide = lambda tree: jax.tree.map(lambda x: x.astype(at_least_float32(dtype)), tree)  # noqa: E731
    state, coupling, frequency, lag = wide((state, coupling, frequency, lag))

    def step(carry, _):
        state, total = carry
        state, log = _rescale(_multiply(state, coupling, frequency, lag))
        return (state, total + log), (*state, total + log)

    states = jax.lax.scan(step, _rescale(state), None, num_steps)[1]
    return jax.tree.map(lambda x: x.astype(dtype), states)


@standard_promotion
def closed_form(
    real: Array,
    imag: Array,
    coupling: Array,
    natural_frequency: Array | float,
    *,
    num_steps: Array | int,
    phase_lag: Array | float = 0.0,
) -> States:
    """The states of `linear_trajectory` after given numbers of steps at once, by eigenvectors of the matrix.

    For a matrix that has a basis of eigenvectors, as almost every one has; on CPUs. Errors are those of the
    eigenvectors, times their condition number. It has no second derivatives.

    Args:
        real, imag: (N,).
        coupling, natural_frequency, phase_lag: as for `linear_step`.
        num_steps: (T,) or a number, each >= 0.

    Returns:
        `States`, (T, N).

    Raises:
        ValueError, TypeError: as `linear_step`; a state of more axes.
    """
    (real, imag), (coupling, frequency, lag) = _prepare(real, imag, coupling, natural_frequency, phase_lag)
    if real.ndim != 1:
        raise ValueError(f"real must be (N,), got shape {real.shape}")
    steps = jnp.atleast_1d(jnp.asarray(num_steps)).astype(at_least_float32(real.dtype))
    return States(*_closed_form(real, imag, coupling, frequency, lag, steps))


@partial(jax.jit, inline=True)
def _closed_form(real, imag, coupling, frequency, lag, steps):
    dtype = real.dtype
    real, imag, coupling, frequency, lag = (
        x.astype(at_least_float32(dtype)) for x in (real, imag, coupling, frequency, lag)
    )
    sine, cosine = sincos(lag)
    matrix = jax.lax.complex(cosine, -sine) * coupling
    matrix += jnp.diag(jax.lax.complex(jnp.zeros_like(real), jnp.broadcast_to(frequency, real.shape)))
    values, vectors = jnp.linalg.eig(matrix)
    parts = jnp.linalg.solve(vectors, jax.lax.complex(real, imag))
    size = jnp.abs(values).max()
    size = jnp.where(size == 0, 1, size)
    # The modulus of powers within 1; their phase is that of the whole number of steps times the angle.
    relative = values / size
    at_zero = jnp.where(steps == 0, 1, 0)[:, None]
    powers = jnp.where(relative == 0, at_zero, jnp.where(relative == 0, 1, relative) ** steps[:, None])
    states = jnp.einsum("ij,tj->ti", vectors, parts * powers, precision=precision())
    (real, imag), log = _rescale((states.real, states.imag))
    return real.astype(dtype), imag.astype(dtype), (log + steps * jnp.log(size)).astype(dtype)


@standard_promotion
def exact_operator(coupling: Array, *, dt: float, phase_lag: Array | float = 0.0) -> tuple[Array, Array]:
    """expm(dt e^{-i phase_lag} coupling), both parts, (N, N) each: the exact flow of the linear network for `dt`.

    Args:
        coupling: (N, N), row i receives.
        dt: time step.
        phase_lag: radians.

    Raises:
        ValueError: a coupling that is not square.
    """
    (coupling,) = floats(coupling=coupling)
    if coupling.ndim != 2 or coupling.shape[0] != coupling.shape[1]:
        raise ValueError(f"coupling must be (N, N), got shape {coupling.shape}")
    dtype = coupling.dtype
    lag, dt = broadcasting((), "one number", at_least_float32(dtype), phase_lag=phase_lag, dt=dt)
    sine, cosine = sincos(lag)
    generator = dt * jax.lax.complex(cosine, -sine) * coupling.astype(at_least_float32(dtype))
    flow = jax.scipy.linalg.expm(generator)
    return flow.real.astype(dtype), flow.imag.astype(dtype)


@standard_promotion
@batch_sharded("phases", core=1)
def exact_step(
    phases: Array, operator: tuple[Array, Array], *, dt: Array | float, natural_frequency: Array | float = 0.0
) -> Array:
    """One step of Kuramoto oscillators by the linear operator: x <- e^{i w dt} E x from |x| = 1, phases are arg x.

    The phases follow d phase_i / dt = w_i + sum_j coupling_ij sin(phase_j - phase_i - phase_lag) to first order in
    `dt` (Budzinski et al., 2022).

    Args:
        phases: (..., N) radians.
        operator: E, both parts, by `exact_operator` for the same `dt`.
        dt: time step.
        natural_frequency: w, radians per unit of time, a scalar or broadcasting to (..., N).

    Returns:
        (..., N) radians, never wrapped.

    Raises:
        ValueError: shapes that do not fit together.
    """
    phases, real, imag = floats(phases=phases, real=operator[0], imag=operator[1])
    _check(phases.shape, real.shape)
    dt, frequency = broadcasting(phases.shape, "phases", phases.dtype, dt=dt, natural_frequency=natural_frequency)
    sine, cosine = sincos(phases)
    times = lambda matrix, x: jnp.einsum("ij,...j->...i", matrix, x, precision=precision())  # noqa: E731
    along = times(real, cosine) - times(imag, sine)
    across = times(real, sine) + times(imag, cosine)
    # The angle of E x is taken relative to the phase before the step: no turn is lost.
    return phases + dt * frequency + angle(cosine * along + sine * across, cosine * across - sine * along)


@standard_promotion
def gaussian_coupling(height: int, width: int, *, strength: float = 0.5, sigma: float = 0.9) -> Array:
    """Coupling of a sheet of units: strength e^{-d^2 / (2 sigma^2)}, with itself too.

    Args:
        height, width: units at positions (i / height, j / width).
        strength: of a unit with itself.
        sigma: range, in the unit of the positions.

    Returns:
        (N, N) with N = height * width units, row after row.
    """
    height, width = whole_number("height", height, 1), whole_number("width", width, 1)
    rows, columns = jnp.meshgrid(jnp.arange(height) / height, jnp.arange(width) / width, indexing="ij")
    square = sum((x.ravel()[:, None] - x.ravel()) ** 2 for x in (rows, columns))
    return strength * jnp.exp(-square / (2 * sigma**2))


@standard_promotion
@batch_sharded("natural_frequency", core=1, out=TwoLayers(0, States(1, 1, 1), States(1, 1, 1)))  # type: ignore[arg-type]
def two_layers(
    natural_frequency: Array,
    phases: Array,
    couplings: tuple[Array, Array],
    *,
    num_steps: tuple[int, int] = (59, 140),
) -> TwoLayers:
    """The cv-RNN that segments a picture without training: background first, then objects.

    The first layer, of long range, splits units by the mean of their phases after its last step; the larger part is the
    background. The second layer, of short range, starts again from the same phases without it; units of one object
    then share a pattern over time, see `oscnets.analysis.phase_locking`.

    Args:
        natural_frequency: the picture, (..., N), values about -1 to 1.
        phases: first phases, (..., N) radians, uniformly random.
        couplings: (N, N) of either layer; the published ones are `gaussian_coupling` with sigma 0.9 and 0.0313.
        num_steps: of either layer.

    Returns:
        `TwoLayers`.

    Raises:
        ValueError: shapes that do not fit together.
        TypeError: a sparse or complex array.
    """
    frequency, phases, *matrices = floats(
        natural_frequency=natural_frequency, phases=phases, first=couplings[0], second=couplings[1]
    )
    if phases.shape != frequency.shape:
        raise ValueError(f"phases must be {frequency.shape} as natural_frequency, got {phases.shape}")
    sine, cosine = sincos(wrap(phases))
    first = linear_trajectory(cosine, sine, matrices[0], frequency, num_steps=num_steps[0])
    last = first.phases[-1] if num_steps[0] else phases
    above, below = last > last.mean(-1, keepdims=True), last < last.mean(-1, keepdims=True)
    background = jnp.where(above.sum(-1, keepdims=True) > below.sum(-1, keepdims=True), above, below)
    kept = (~background).astype(frequency.dtype)

    second = _masked(cosine * kept, sine * kept, matrices[1], frequency, kept, num_steps=num_steps[1])
    return TwoLayers(background, first, States(*second))


@partial(jax.jit, static_argnames="num_steps", inline=True)
def _masked(real, imag, coupling, frequency, kept, *, num_steps: int):
    """`linear_trajectory` in which units that are not kept neither act nor move."""
    dtype = coupling.dtype
    zero = jnp.zeros((), dtype)

    def step(carry, _):
        state, total = carry
        moved = _multiply(state, coupling, frequency, zero)
        state, log = _rescale((moved[0] * kept, moved[1] * kept))
        return (state, total + log), (*state, total + log)

    return jax.lax.scan(step, _rescale((real, imag)), None, num_steps)[1]
