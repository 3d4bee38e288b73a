"""Agreement between the oscillators of a whole network: couplings from queries and keys (GASPnet).

Equation numbers are those of Alamia, Muzellec, Serre and VanRullen (2025). What the paper leaves open is explicit here:
the sign of the offset, whether the dense layers are amplified or divided, and which couplings they share.

Oscillators are ordered layer after layer. `layers` gives the shapes: (H, W) is a map of positions, row by row, (n,) are
the nodes of a dense layer.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from oscnets._inputs import broadcasting, floats, precision, standard_promotion, whole_number
from oscnets._platform import cpu_barrier, on_gpu
from oscnets._sharding import batch_sharded
from oscnets.dynamics._transform import rowwise
from oscnets.phase import sincos

__all__ = ["Gains", "Layers", "attention_step", "coupling", "strength"]


def __dir__() -> list[str]:
    return __all__


Layers = Sequence[tuple[int, ...]]


class Gains(NamedTuple):
    """Constants of equations 4 to 6, from the agreement of queries and keys to couplings.

    neighbour: tau, for positions of one layer at most one row and one column apart; a position is its own neighbour.
    offset: epsilon, subtracted; a positive one lets unrelated oscillators repel, a negative one lets them attract.
    dense: kappa, for pairs with a dense node; the division that the paper prints is a gain of 1 / kappa.
    """

    neighbour: Array | float = 1.0
    offset: Array | float = 0.0
    dense: Array | float = 1.0


@standard_promotion
@batch_sharded("queries", core=2)
def coupling(queries: Array, keys: Array, layers: Layers, gains: Gains) -> Array:
    """Couplings of equations 4 to 6, all of them at once.

        r_ij = (<query_i, key_j> N_ij - offset) g_ij

    N_ij is `gains.neighbour` where i and j are neighbours, else 1; g_ij is `gains.dense` where i or j is a dense node.

    Args:
        queries, keys: (..., N, D).
        layers: of the N oscillators.
        gains: tau, epsilon and kappa.

    Returns:
        r, (..., N, N), row i receives.

    Raises:
        ValueError: shapes that do not fit together.
    """
    queries, keys = floats(queries=queries, keys=keys)
    layers = _check(queries, keys, layers)
    return _coupling(queries, keys, layers, _gains(gains, queries.dtype)[0])


@partial(jax.jit, static_argnames="layers", inline=True)
def _coupling(queries: Array, keys: Array, layers: Layers, gains: Gains) -> Array:
    oscillators = _oscillators(layers)
    return _couple(queries, keys, oscillators, oscillators, gains)


@standard_promotion
@batch_sharded("phases", core=1)
def attention_step(
    phases: Array,
    queries: Array,
    keys: Array,
    layers: Layers,
    gains: Gains,
    *,
    rate: Array | float,
    floor: float = 1e-6,
    cached_strength: Array | None = None,
    max_couplings: int = 2**24,
) -> Array:
    """One step towards the agreement of queries and keys: `kuramoto.agreement_step` of `coupling` (equations 3 to 6).

    The input received factors through the D dimensions, so that only its normalization, sum_j |r_ij|, goes through all
    pairs.

    Args:
        phases: (..., N) radians.
        queries, keys: (..., N, D), with the leading axes of `phases`.
        layers: of the N oscillators.
        gains: tau, epsilon and kappa.
        rate: lambda; no phase moves by more than `rate` radians. A scalar or broadcasting to the phases.
        floor: added to the denominator: without input the phase is unchanged, with finite gradients.
        cached_strength: `strength` of the first n oscillators among themselves, (..., n); None computes it. Where their
            queries and keys are constant in time, it is computed once.
        max_couplings: as for `strength`.

    Returns:
        Phases after the step, (..., N).

    Raises:
        ValueError: shapes that do not fit together, or `max_couplings` below 1.
    """
    phases, queries, keys = floats(phases=phases, queries=queries, keys=keys)
    layers = _check(queries, keys, layers)
    if phases.shape != queries.shape[:-1]:
        raise ValueError(f"phases must be {queries.shape[:-1]} for queries {queries.shape}, got {phases.shape}")
    rate, floor = broadcasting(phases.shape, "phases", phases.dtype, rate=rate, floor=floor)
    if cached_strength is not None:
        cached_strength = floats(cached_strength=cached_strength)[0].astype(phases.dtype)
    gains, has_neighbours = _gains(gains, phases.dtype)
    limit = whole_number("max_couplings", max_couplings, 1)
    static = {"layers": layers, "has_neighbours": has_neighbours, "limit": limit}
    return _attention_step(phases, queries, keys, gains, cached_strength, rate=rate, floor=floor, **static)


@partial(jax.jit, static_argnames=("layers", "has_neighbours", "limit"), inline=True)
def _attention_step(
    phases, queries, keys, gains, cached_strength, *, rate, floor, layers: Layers, has_neighbours: bool, limit: int
) -> Array:
    sine, cosine = sincos(phases)
    if on_gpu() and math.prod(queries.shape[:-1]) * queries.shape[-2] <= limit:
        oscillators = _oscillators(layers)
        couplings = _couple(queries, keys, oscillators, oscillators, gains)
        force, total = _from_all_pairs(couplings, sine, cosine)
        return phases + rate * force / (total + floor)
    total = _total(queries, keys, layers, gains, cached_strength, limit)
    field = jnp.stack([sine, cosine], axis=-1)
    received = _input(queries, keys, field, layers, gains, has_neighbours=has_neighbours)
    return phases + rate * (cosine * received[..., 0] - sine * received[..., 1]) / (total + floor)


# Recomputed for gradients: of all pairs the couplings alone are stored.
@partial(jax.checkpoint, prevent_cse=False)
def _from_all_pairs(couplings: Array, sine: Array, cosine: Array) -> tuple[Array, Array]:
    """sum_j r_ij sin(phase_j - phase_i) and sum_j |r_ij|."""
    receives, sends = (lambda x: x[..., None]), (lambda x: x[..., None, :])
    ahead = receives(cosine) * sends(sine) - receives(sine) * sends(cosine)
    return (couplings * ahead).sum(-1), jnp.abs(couplings).sum(-1)


@standard_promotion
@batch_sharded("queries", core=2)
def strength(queries: Array, keys: Array, layers: Layers, gains: Gains, *, max_couplings: int = 2**24) -> Array:
    """Total absolute coupling received by each oscillator: sum_j |r_ij|, (..., N); arguments as for `coupling`.

    Couplings are recomputed for gradients instead of stored, and beyond `max_couplings` of them (over all leading
    axes) a block of receiving oscillators at a time, so that memory grows with N and not with its square.

    Raises:
        ValueError: shapes that do not fit together, or `max_couplings` below 1.
    """
    queries, keys = floats(queries=queries, keys=keys)
    layers = _check(queries, keys, layers)
    limit = whole_number("max_couplings", max_couplings, 1)
    return _strengths(queries, keys, _gains(gains, queries.dtype)[0], layers=layers, limit=limit)


@partial(jax.jit, static_argnames=("layers", "limit"), inline=True)
def _strengths(queries: Array, keys: Array, gains: Gains, *, layers: Layers, limit: int) -> Array:
    return _total(queries, keys, layers, gains, None, limit)


class _Oscillators(NamedTuple):
    """Layer, row, column and kind of each oscillator, (n,)."""

    layer: Array | np.ndarray
    row: Array | np.ndarray  # meaningless for a dense node
    column: Array | np.ndarray
    dense: Array | np.ndarray  # bool

    def part(self, chosen: slice) -> "_Oscillators":
        return _Oscillators(*(x[chosen] for x in self))


def _oscillators(layers: Layers) -> _Oscillators:
    each = [np.indices(layer if len(layer) == 2 else (*layer, 1)).reshape(2, -1) for layer in layers]
    sizes = [math.prod(layer) for layer in layers]
    number, dense = (np.repeat(x, sizes) for x in (range(len(layers)), [len(layer) == 1 for layer in layers]))
    return _Oscillators(number, *np.concatenate(each, axis=1), dense)


def _couple(queries: Array, keys: Array, receivers: _Oscillators, senders: _Oscillators, gains: Gains) -> Array:
    near = (receivers.layer[:, None] == senders.layer) & ~receivers.dense[:, None]
    near = near & (abs(receivers.row[:, None] - senders.row) <= 1)
    near = near & (abs(receivers.column[:, None] - senders.column) <= 1)
    gain = jnp.where(receivers.dense[:, None] | senders.dense, gains.dense, 1)
    # Stored, because XLA would recompute both for every image.
    scale, shift = cpu_barrier((gain * jnp.where(near, gains.neighbour, 1), gain * gains.offset))
    return jnp.einsum("...id,...jd->...ij", queries, keys, precision=precision()) * scale - shift


def _total(
    queries: Array, keys: Array, layers: Layers, gains: Gains, cached_strength: Array | None, limit: int
) -> Array:
    oscillators = _oscillators(layers)
    if cached_strength is None:
        return _strength(queries, keys, oscillators, oscillators, gains, limit)
    num_cached = cached_strength.shape[-1]
    first, rest = slice(None, num_cached), slice(num_cached, None)
    each = [
        _strength(queries[..., to, :], keys[..., start, :], oscillators.part(to), oscillators.part(start), gains, limit)
        for to, start in ((first, rest), (rest, slice(None)))
    ]
    return jnp.concatenate([cached_strength + each[0], each[1]], axis=-1)


def _strength(
    queries: Array, keys: Array, receivers: _Oscillators, senders: _Oscillators, gains: Gains, limit: int
) -> Array:
    @partial(jax.checkpoint, prevent_cse=False)
    def of_some(piece: tuple[Array, _Oscillators]) -> Array:
        return jnp.abs(_couple(piece[0], keys, piece[1], senders, gains)).sum(-1)

    size, axis = queries.shape[-2], queries.ndim - 2
    rows = max(1, min(size, limit // max(1, math.prod(keys.shape[:-1]))))
    if rows == size:
        return of_some((queries, receivers))
    blocks = -(-size // rows)

    def cut(x: Array, axis: int) -> Array:
        padding = [(0, blocks * rows - size) if i == axis else (0, 0) for i in range(x.ndim)]
        x = jnp.pad(x, padding).reshape(*x.shape[:axis], blocks, rows, *x.shape[axis + 1 :])
        return jnp.moveaxis(x, axis, 0)

    strengths = jax.lax.map(of_some, (cut(queries, axis), _Oscillators(*(cut(jnp.asarray(x), 0) for x in receivers))))
    strengths = jnp.moveaxis(strengths, 0, axis)
    return strengths.reshape(*strengths.shape[:axis], blocks * rows)[..., :size]


def _input(queries: Array, keys: Array, field: Array, layers: Layers, gains: Gains, *, has_neighbours: bool) -> Array:
    """sum_j r_ij field_j for each part of the field (..., N, 2), without the couplings r as an array."""
    dense = _oscillators(layers).dense[:, None]
    # The gain applies to what positions receive from dense nodes, and to all that dense nodes receive.
    to_positions, to_nodes = jnp.where(dense, gains.dense, 1) * field, gains.dense * field
    received = jnp.where(dense, *(_input_from(queries, keys, sent, gains.offset) for sent in (to_nodes, to_positions)))
    if not has_neighbours:
        return received
    near, start = [], 0
    for layer in layers:
        end = start + math.prod(layer)
        parts = [x[..., start:end, :] for x in (queries, keys, field)]
        near.append(_input_from_neighbours(*parts, layer) if len(layer) == 2 else jnp.zeros_like(parts[2]))
        start = end
    return received + (gains.neighbour - 1) * jnp.concatenate(near, axis=-2)


def _input_from(queries: Array, keys: Array, sent: Array, offset: Array | float) -> Array:
    """sum_j (<query_i, key_j> - offset) sent_j, (..., N, 2)."""
    summed = jnp.einsum("...jd,...jc->...dc", keys, sent, precision=precision())
    alike = jnp.einsum("...id,...dc->...ic", queries, summed, precision=precision())
    return alike - offset * sent.sum(-2, keepdims=True)


def _input_from_neighbours(queries: Array, keys: Array, field: Array, size: tuple[int, int]) -> Array:
    """sum_j <query_i, key_j> field_j over the nine positions around each position of a layer, (..., H W, 2)."""
    around = jnp.concatenate([keys * field[..., :1], keys * field[..., 1:]], axis=-1)
    # Sums over three rows, then over three columns, as products: shifted copies would move more memory.
    near = (np.abs(np.subtract.outer(np.arange(n), np.arange(n))) <= 1 for n in size)
    over_rows, over_columns = (jnp.asarray(x, keys.dtype) for x in near)
    lead = math.prod(keys.shape[:-2])
    around = rowwise(over_rows, around.reshape(lead, size[0], size[1] * 2 * keys.shape[-1]))
    around = rowwise(over_columns, around.reshape(lead * size[0], size[1], 2 * keys.shape[-1]))
    parts = jnp.split(around.reshape(*keys.shape[:-1], 2 * keys.shape[-1]), 2, axis=-1)
    return jnp.stack([(queries * part).sum(-1) for part in parts], axis=-1)


def _gains(gains: Gains, dtype: Any) -> tuple[Gains, bool]:
    """Gains in a floating type, and whether that of neighbours is known to be no 1."""
    arrays = broadcasting((), "", dtype, **gains._asdict())
    return Gains(*arrays), not (isinstance(gains[0], int | float) and gains[0] == 1)


def _check(queries: Array, keys: Array, layers: Layers) -> Layers:
    """The layers, hashable."""
    if queries.ndim < 2 or queries.shape != keys.shape:
        raise ValueError(f"queries and keys must both be (..., N, D), got {queries.shape} and {keys.shape}")
    if not layers or any(len(layer) not in (1, 2) or min(layer) < 1 for layer in layers):
        raise ValueError(f"layers must be (H, W) or (n,) with positive sizes, got {layers}")
    count = sum(map(math.prod, layers))
    if count != queries.shape[-2]:
        raise ValueError(f"layers {layers} have {count} oscillators, but queries are {queries.shape}")
    return tuple(tuple(int(n) for n in layer) for layer in layers)
