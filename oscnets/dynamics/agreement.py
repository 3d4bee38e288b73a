"""Agreement between the oscillators of a whole network: couplings from queries and keys (GASPnet).

Equation numbers are those of Alamia, Muzellec, Serre and VanRullen (2025). What the paper leaves open is explicit here:
the sign of the offset, whether the dense layers are amplified or divided, and which couplings they share.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from oscnets.phase import sincos

Gains = tuple[Array | float, Array | float, Array | float]  # tau, epsilon, kappa


class Layout(NamedTuple):
    """Where each of N oscillators sits, (N,) each: all that equations 5 and 6 depend on."""

    layer: Array | np.ndarray  # int
    row: Array | np.ndarray  # int; of no account for a dense node
    column: Array | np.ndarray
    dense: Array | np.ndarray  # bool: a node of a dense layer, not a position

    @classmethod
    def of(cls, *layers: tuple[int, ...]) -> Self:
        """The layout of a network, layer after layer: (H, W) for positions, row by row, (n,) for n dense nodes.

        Raises:
            ValueError: no layer, or one that is neither of the two.
        """
        if not layers or any(len(layer) not in (1, 2) or min(layer) < 1 for layer in layers):
            raise ValueError(f"layers must be (H, W) or (n,) with positive sizes, got {layers}")
        places = [np.indices(layer if len(layer) == 2 else (*layer, 1)).reshape(2, -1) for layer in layers]
        sizes = [place.shape[1] for place in places]
        number, dense = (np.repeat(x, sizes) for x in (range(len(layers)), [len(layer) == 1 for layer in layers]))
        return cls(number, *np.concatenate(places, axis=1), dense)


def coupling(
    queries: Array,
    keys: Array,
    layout: Layout,
    *,
    neighbour_gain: Array | float = 1.0,
    offset: Array | float = 0.0,
    dense_gain: Array | float = 1.0,
) -> Array:
    """Couplings of equations 4 to 6, all of them at once.

        r_ij = (<query_i, key_j> N_ij - offset) g_ij

    Args:
        queries, keys: (..., N, D).
        layout: of the N oscillators.
        neighbour_gain: tau. N_ij is that where i and j are positions of one layer at most one row and one column apart
            (a position is its own neighbour), 1 elsewhere.
        offset: epsilon; a positive one lets unrelated oscillators repel, a negative one lets them attract.
        dense_gain: kappa. g_ij is that where i or j is a dense node, 1 elsewhere; the division that the paper prints is
            a gain of 1 / kappa.

    Returns:
        r, (..., N, N), row i receives.

    Raises:
        ValueError: shapes that do not fit together.
    """
    queries, keys, layout = _check(queries, keys, layout)
    return _couple(queries, keys, layout, layout, (neighbour_gain, offset, dense_gain))


def attention_step(
    phases: Array,
    queries: Array,
    keys: Array,
    layout: Layout,
    *,
    rate: Array | float,
    neighbour_gain: Array | float = 1.0,
    offset: Array | float = 0.0,
    dense_gain: Array | float = 1.0,
    floor: float = 1e-6,
    max_couplings: int = 2**24,
) -> Array:
    """One step towards the agreement of queries and keys: `kuramoto.agreement_step` of `coupling` (equations 3 to 6).

    Beyond `max_couplings` the couplings are made a block of receiving oscillators at a time, in the gradients too, so
    that memory grows with N and not with its square.

    Args:
        phases: (..., N) radians.
        queries, keys: (..., N, D), with the leading axes of `phases`.
        layout: of the N oscillators.
        rate: lambda; no phase moves by more than `rate` radians.
        neighbour_gain, offset, dense_gain: of `coupling`.
        floor: keeps an oscillator that hears nothing where it is, with finite gradients.
        max_couplings: how many couplings to hold at once, over all leading axes, at least one row of them.

    Returns:
        Phases after the step, (..., N).

    Raises:
        ValueError: shapes that do not fit together, or `max_couplings` below 1.
    """
    queries, keys, layout = _check(queries, keys, layout)
    phases = jnp.asarray(phases)
    if phases.shape != queries.shape[:-1]:
        raise ValueError(f"phases must be {queries.shape[:-1]} for queries {queries.shape}, got {phases.shape}")
    if max_couplings < 1:
        raise ValueError(f"max_couplings must be >= 1, got {max_couplings}")
    gains = (neighbour_gain, offset, dense_gain)
    sine, cosine = sincos(phases)
    hear = partial(_hear, keys, (sine, cosine), layout, gains)
    size = phases.shape[-1]
    rows = max(1, min(size, max_couplings // max(1, phases.size)))
    heard = hear(queries, layout) if rows == size else _by_blocks(hear, rows, queries, layout)
    of_sine, of_cosine, strength = heard
    return phases + rate * (cosine * of_sine - sine * of_cosine) / (strength + floor)


def _hear(
    keys: Array, field: tuple[Array, Array], senders: Layout, gains: Gains, queries: Array, receivers: Layout
) -> tuple[Array, ...]:
    """For some receivers i the sums over j of r_ij sin phase_j, r_ij cos phase_j and |r_ij|, (..., n) each."""
    # Stored once: XLA would make the couplings anew for each of the three sums.
    r = jax.lax.optimization_barrier(_couple(queries, keys, receivers, senders, gains))
    sums = (jnp.einsum("...ij,...j->...i", r, part, precision="highest") for part in field)
    return (*sums, jnp.abs(r).sum(-1))


def _by_blocks(
    hear: Callable[[Array, Layout], tuple[Array, ...]], rows: int, queries: Array, receivers: Layout
) -> tuple[Array, ...]:
    """`hear`, `rows` receivers at a time; what lies inside is made anew for the gradients."""
    size, axis = queries.shape[-2], queries.ndim - 2
    blocks = -(-size // rows)

    def cut(x: Array, axis: int) -> Array:
        padding = [(0, blocks * rows - size) if i == axis else (0, 0) for i in range(x.ndim)]
        x = jnp.pad(x, padding).reshape(*x.shape[:axis], blocks, rows, *x.shape[axis + 1 :])
        return jnp.moveaxis(x, axis, 0)

    def join(x: Array) -> Array:
        x = jnp.moveaxis(x, 0, axis)
        return x.reshape(*x.shape[:axis], blocks * rows)[..., :size]

    pieces = (cut(queries, axis), Layout(*(cut(x, 0) for x in receivers)))
    heard = jax.lax.map(jax.checkpoint(lambda piece: hear(*piece), prevent_cse=False), pieces)
    return tuple(map(join, heard))


def _couple(queries: Array, keys: Array, receivers: Layout, senders: Layout, gains: Gains) -> Array:
    neighbour_gain, offset, dense_gain = gains
    near = (receivers.layer[:, None] == senders.layer) & ~receivers.dense[:, None]
    near &= jnp.abs(receivers.row[:, None] - senders.row) <= 1
    near &= jnp.abs(receivers.column[:, None] - senders.column) <= 1
    gain = jnp.where(receivers.dense[:, None] | senders.dense, dense_gain, 1)
    scale, shift = jax.lax.optimization_barrier((gain * jnp.where(near, neighbour_gain, 1), gain * offset))
    return jnp.einsum("...id,...jd->...ij", queries, keys, precision="highest") * scale - shift


def _check(queries: Array, keys: Array, layout: Layout) -> tuple[Array, Array, Layout]:
    queries, keys, layout = jnp.asarray(queries), jnp.asarray(keys), Layout(*(jnp.asarray(x) for x in layout))
    if queries.ndim < 2 or queries.shape != keys.shape:
        raise ValueError(f"queries and keys must both be (..., N, D), got {queries.shape} and {keys.shape}")
    wrong = {name: x.shape for name, x in layout._asdict().items() if x.shape != queries.shape[-2:-1]}
    if wrong:
        raise ValueError(f"layout must have ({queries.shape[-2]},) for each of N oscillators, got {wrong}")
    return queries, keys, layout
