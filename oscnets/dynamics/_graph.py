"""Oscillators on a graph: couplings, dense or sparse, the sums over them, the right-hand side of Kuramoto's model."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.experimental import sparse

from oscnets._inputs import at_least_float32, broadcasting, floats, precision
from oscnets._platform import sizes
from oscnets.phase import bounded_wrap, sincos, wrap


class Dense(NamedTuple):
    """A matrix (..., N, N), row i receives."""

    matrix: Array

    def received(self, *sent: Array) -> tuple[Array, ...]:
        """sum_j coupling_ij sent_j, (..., N), of each array (..., N); a large matrix is read once for all."""
        if self.matrix.size < sizes().matrix_numbers:
            total = lambda x: jnp.einsum("...ij,...j->...i", self.matrix, x, precision=precision())  # noqa: E731
            return tuple(map(total, sent))
        return _parts(jnp.einsum("...ij,...jk->...ik", self.matrix, jnp.stack(sent, -1), precision=precision()))

    def strength(self) -> Array:
        """sum_j |coupling_ij|, (..., N)."""
        return jnp.abs(self.matrix).sum(-1)


class Sparse(NamedTuple):
    """The entries of a matrix (N, N) that acts on phases (..., N); those with an index of N are padding."""

    rows: Array
    columns: Array
    values: Array
    zeros: Array  # (N,)

    def received(self, *sent: Array) -> tuple[Array, ...]:
        """sum_j coupling_ij sent_j, (..., N), of each array (..., N); indices are read once for all."""
        gathered = jnp.stack(sent, -1).at[..., self.columns, :].get(mode="fill", fill_value=0)
        return _parts(self._over_columns(self.values[:, None] * gathered))

    def strength(self) -> Array:
        """sum_j |coupling_ij|, (N,)."""
        return self._over_columns(jnp.abs(self.values)[:, None])[:, 0]

    def over_columns(self, *entries: Array) -> tuple[Array, ...]:
        """Sums of entries (..., E) by their rows, (..., N), of each array."""
        return _parts(self._over_columns(jnp.stack(entries, -1)))

    def _over_columns(self, entries: Array) -> Array:
        zeros = jnp.broadcast_to(self.zeros[:, None], (*entries.shape[:-2], len(self.zeros), entries.shape[-1]))
        return zeros.at[..., self.rows, :].add(entries, mode="drop")


def _parts(x: Array) -> tuple[Array, ...]:
    """The arrays that `x` has on its last axis."""
    return tuple(x[..., i] for i in range(x.shape[-1]))


def graph(phases: Any, coupling: Any) -> tuple[Array, Dense | Sparse, tuple[int, ...]]:
    """Phases (..., N) and coupling of one floating type, and the shape of what they give.

    Args:
        phases: (..., N).
        coupling: (..., N, N), or one sparse matrix (N, N): a `jax.experimental.sparse.BCOO`, or any of SciPy's.

    Raises:
        ValueError: shapes that do not fit.
        TypeError: another sparse matrix, complex numbers, no numbers.
    """
    if hasattr(coupling, "tocoo") or isinstance(coupling, sparse.BCOO):
        return _sparse(phases, coupling)
    phases, matrix = floats(phases=phases, coupling=coupling)
    _check(phases.shape, matrix.shape)
    return phases, Dense(matrix), np.broadcast_shapes(phases.shape, matrix.shape[:-1])


def _sparse(phases: Any, coupling: Any) -> tuple[Array, Sparse, tuple[int, ...]]:
    if isinstance(coupling, sparse.BCOO):
        if coupling.n_batch or coupling.n_dense or coupling.ndim != 2:
            raise TypeError(f"a sparse coupling must be one matrix (N, N) without batch axes, got {coupling}")
        (rows, columns), values = coupling.indices.T, coupling.data
    else:
        entries = coupling.tocoo()
        (rows, columns), values = (jnp.asarray(x) for x in (entries.row, entries.col)), entries.data
    phases, values = floats(phases=phases, coupling=values)
    _check(phases.shape, tuple(coupling.shape))
    return phases, Sparse(rows, columns, values, jnp.zeros(phases.shape[-1], phases.dtype)), phases.shape


def _check(phases: tuple[int, ...], coupling: tuple[int, ...]) -> None:
    fits = len(phases) >= 1 and len(coupling) >= 2 and coupling[-2:] == (phases[-1],) * 2
    try:
        np.broadcast_shapes(phases[:-1], coupling[:-2])
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"coupling must be (..., N, N) for phases (..., N), got {coupling} and {phases}")


def from_networkx(graph: Any, *, weight: str = "weight", strength: float = 1.0) -> sparse.BCOO:
    """The sparse coupling of a graph of networkx, for the functions of `graphs` and of `kuramoto`.

    Args:
        graph: with N nodes, which become oscillators in the order of `graph.nodes`. A directed edge (j, i) acts from j
            on i, an undirected one on both; parallel edges add up.
        weight: the attribute of an edge that is its coupling; 1 where an edge has none.
        strength: factor of all couplings.

    Returns:
        BCOO (N, N), row i receives, in JAX's default floating type: one entry for each pair, in the order of rows.

    Raises:
        TypeError: no graph of networkx.
        ValueError: a graph without nodes.
    """
    if not all(hasattr(graph, name) for name in ("nodes", "edges", "is_directed")):
        raise TypeError(f"graph must be a graph of networkx, got {type(graph).__name__}")
    places = {node: i for i, node in enumerate(graph.nodes)}
    if not places:
        raise ValueError("graph must have nodes, got none")
    edges = [(places[to], places[sender], value) for sender, to, value in graph.edges(data=weight, default=1)]
    if not graph.is_directed():
        edges += [(j, i, value) for i, j, value in edges if i != j]
    entries = np.array(edges, float).reshape(-1, 3)
    indices, places_of = np.unique(entries[:, :2].astype(np.int32), axis=0, return_inverse=True)
    values = jnp.asarray(strength * np.bincount(places_of.ravel(), entries[:, 2], len(indices)))
    options = {"indices_sorted": True, "unique_indices": True}
    return sparse.BCOO((values, jnp.asarray(indices)), shape=(len(places),) * 2, **options)


class Harmonics(NamedTuple):
    """Coupling function H(x) = sum_m amplitudes_m sin(m x + shifts_m), m = 1 ... M (Daido, 1996), instead of sin x.

    The amplitude a_m and b_m of the form sum_m a_m sin(m x) + b_m cos(m x) are hypot(a_m, b_m) with the shift
    arctan2(b_m, a_m).
    """

    amplitudes: Array  # (M,)
    shifts: Array | float = 0.0  # radians, (M,) or one for all


class Forcing(NamedTuple):
    """Periodic forcing of every oscillator: strength sin(phase + frequency time - phase_i) (Sakaguchi, 1988).

    Each value is a scalar or broadcasts to the phases.
    """

    strength: Array | float  # radians per unit of time
    frequency: Array | float = 0.0  # likewise
    phase: Array | float = 0.0  # radians, at time 0


class Oscillators(NamedTuple):
    """Parameters of the oscillators, without their coupling."""

    frequency: Array
    lag: Array
    harmonics: Harmonics | None
    forcing: Forcing | None  # its phase is that at the start, wrapped

    def num_harmonics(self) -> int:
        """M; 1 for the sine."""
        return 1 if self.harmonics is None else len(self.harmonics.amplitudes)

    def forcing_phase(self) -> Array | None:
        """The phase of the forcing at the start; None without one."""
        return None if self.forcing is None else self.forcing.phase

    def advance(self, forcing_phase: Array | None, dt: Array) -> Array | None:
        """The phase of the forcing a time `dt` later, wrapped: the forcing keeps its frequency over a long run."""
        return None if self.forcing is None else bounded_wrap(forcing_phase + dt * self.forcing.frequency)[0]


def make_oscillators(
    shape: tuple[int, ...], dtype: Any, natural_frequency, phase_lag, harmonics, forcing, time, *, dt=None
) -> Oscillators:
    """The values of oscillators, checked, in one floating type; with `dt`, the forcing's phase broadcasts to it.

    Raises:
        ValueError: one that does not broadcast to the phases; harmonics that are not (M,); a time that is no scalar.
    """
    values = {"natural_frequency": natural_frequency, "phase_lag": phase_lag}
    frequency, lag = broadcasting(shape, "phases", dtype, **values)
    harmonics = None if harmonics is None else _harmonics(dtype, *harmonics)
    return Oscillators(frequency, lag, harmonics, _forcing(shape, dtype, forcing, time, () if dt is None else dt.shape))


def _forcing(shape, dtype, forcing, time, dt_shape) -> Forcing | None:
    """The forcing with its phase at a time, which half precision would round."""
    wide = at_least_float32(dtype)
    (time,) = broadcasting((), "", wide, time=time)
    if forcing is None:
        return None
    named = {f"forcing.{name}": x for name, x in Forcing(*forcing)._asdict().items()}
    strength, frequency, phase = broadcasting(shape, "phases", wide, **named)
    phase = wrap(phase + time * frequency)
    phase = jnp.broadcast_to(phase, np.broadcast_shapes(phase.shape, dt_shape))
    return Forcing(*(x.astype(dtype) for x in (strength, frequency, phase)))


def _harmonics(dtype: Any, amplitudes: Any, shifts: Any = 0.0) -> Harmonics:
    (amplitudes,) = floats(amplitudes=amplitudes)
    if amplitudes.ndim != 1 or not amplitudes.size:
        raise ValueError(f"harmonics.amplitudes must be (M,) with M >= 1, got shape {amplitudes.shape}")
    values = {"harmonics.amplitudes": amplitudes, "harmonics.shifts": shifts}
    amplitudes, shifts = broadcasting(amplitudes.shape, "amplitudes", dtype, **values)
    return Harmonics(amplitudes, jnp.broadcast_to(shifts, amplitudes.shape))


def graph_velocity(
    phases: Array, coupling: Dense | Sparse, oscillators: Oscillators, forcing_phase: Array | None
) -> Array:
    """Right-hand side of Kuramoto's model, radians per unit of time."""
    received = lambda _, sine, cosine: coupling.received(cosine, sine)  # noqa: E731
    return velocity(phases, received, oscillators, forcing_phase)


def velocity(
    phases: Array,
    received: Callable[[int, Array, Array], tuple[Array, Array]],
    oscillators: Oscillators,
    forcing_phase: Array | None,
) -> Array:
    """`graph_velocity` from what oscillators receive.

    Args:
        phases: (..., N).
        received: from m and the sines and cosines of m times the phases to the sums over j of coupling_ij times the
            cosine and sine of m times phase_j.
        oscillators: their parameters.
        forcing_phase: the present one.
    """
    force = 0
    for m, amplitude, lag in _terms(oscillators):
        sine, cosine = sincos(phases if m == 1 else m * phases)
        term = _force(sine, cosine, *received(m, sine, cosine), lag)
        force += term if amplitude is None else amplitude * term
    if oscillators.forcing is not None:
        force += oscillators.forcing.strength * sincos(forcing_phase - phases)[0]
    return oscillators.frequency + force


def _terms(oscillators: Oscillators) -> list[tuple[int, Array | None, Array]]:
    """Number, amplitude and phase lag of every harmonic."""
    if oscillators.harmonics is None:
        return [(1, None, oscillators.lag)]
    pairs = zip(*oscillators.harmonics, strict=True)
    return [(m, amplitude, m * oscillators.lag - shift) for m, (amplitude, shift) in enumerate(pairs, 1)]


def graph_force(phases: Array, coupling: Dense | Sparse) -> Array:
    """sum_j coupling_ij sin(phase_j - phase_i), through the field: no (N, N) array of differences."""
    sine, cosine = sincos(phases)
    return _force(sine, cosine, *coupling.received(cosine, sine))


def _force(sine: Array, cosine: Array, along: Array, across: Array, lag: Array | None = None) -> Array:
    """Im(e^{-i (phase + lag)} (along + i across))."""
    straight = cosine * across - sine * along
    if lag is None:
        return straight
    lag_sine, lag_cosine = sincos(lag)
    return lag_cosine * straight - lag_sine * (cosine * along + sine * across)
