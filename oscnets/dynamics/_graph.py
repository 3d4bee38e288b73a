"""Couplings of a graph, dense or sparse, and the sums that the dynamics take over them."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.experimental import sparse

from oscnets._inputs import floats
from oscnets.phase import sincos


class Dense(NamedTuple):
    """A matrix (..., N, N), row i receives."""

    matrix: Array

    def received(self, sent: Array) -> Array:
        """sum_j coupling_ij sent_j, (..., N)."""
        return jnp.einsum("...ij,...j->...i", self.matrix, sent, precision="highest")

    def strength(self) -> Array:
        """sum_j |coupling_ij|, (..., N)."""
        return jnp.abs(self.matrix).sum(-1)


class Sparse(NamedTuple):
    """The entries of a matrix (N, N) that acts on phases (..., N); those with an index of N are padding."""

    rows: Array
    columns: Array
    values: Array
    zeros: Array  # (N,)

    def received(self, sent: Array) -> Array:
        """sum_j coupling_ij sent_j, (..., N)."""
        return self.over_columns(self.values * sent.at[..., self.columns].get(mode="fill", fill_value=0))

    def strength(self) -> Array:
        """sum_j |coupling_ij|, (N,)."""
        return self.over_columns(jnp.abs(self.values))

    def over_columns(self, entries: Array) -> Array:
        """Sums of entries (..., E) by their rows, (..., N)."""
        zeros = jnp.broadcast_to(self.zeros, (*entries.shape[:-1], len(self.zeros)))
        return zeros.at[..., self.rows].add(entries, mode="drop")


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


def graph_velocity(phases: Array, coupling: Dense | Sparse, frequency: Array, lag: Array | None) -> Array:
    """Right-hand side of Kuramoto's model: natural frequency plus `graph_force`, radians per unit of time."""
    return frequency + graph_force(phases, coupling, lag)


def graph_force(phases: Array, coupling: Dense | Sparse, lag: Array | None = None) -> Array:
    """sum_j coupling_ij sin(phase_j - phase_i - lag_i), through the field: no (N, N) array of differences."""
    sine, cosine = sincos(phases)
    along, across = coupling.received(cosine), coupling.received(sine)
    if lag is None:
        return cosine * across - sine * along
    lag_sine, lag_cosine = sincos(lag)
    return lag_cosine * (cosine * across - sine * along) - lag_sine * (cosine * along + sine * across)
