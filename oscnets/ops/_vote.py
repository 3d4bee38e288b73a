"""The answer of the best of several starts, for dynamics that start from noise.

Least energies, summed or last, are those of AKOrN (Miyato et al., 2025); confidence is that of C-voting (ICLR 2026,
arXiv 2604.13521).
"""

from functools import partial
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from jax import Array

from oscnets._inputs import at_least_float32, floats, standard_promotion
from oscnets._sharding import run_sharded

Criterion = Literal["sum", "last", "confidence"]


class Vote(NamedTuple):
    """What `vote` chooses."""

    logits: Array  # (B, ..., C) of the start that was chosen
    starts: Array  # (B,), its number, int


@standard_promotion
def vote(logits: Array, energies: Array | None = None, *, by: Criterion = "sum") -> Vote:
    """Of K starts for each example, the answer of the one that settled best.

    Args:
        logits: (K, B, ..., C): of every start, a class of each of any number of cells.
        energies: (K, T, B), the energy after every step of the dynamics; None where confidence chooses.
        by: `sum`, the least energy summed over the steps; `last`, the least energy after the last step; `confidence`,
            the largest of the mean over cells of the highest softmax probability. Ties go to the first start.

    Returns:
        A `Vote`. Derivatives are those of the logits that are chosen. Where a criterion is NaN, its start is chosen and
        the logits are NaN.

    Raises:
        ValueError: logits without axes of starts, examples and classes, or without a start; energies that are missing,
            unwanted or of other starts or examples; an unknown way to choose.
    """
    if by not in get_args(Criterion):
        raise ValueError(f"by must be one of {', '.join(get_args(Criterion))}, got {by!r}")
    (logits,) = floats(logits=logits)
    if logits.ndim < 3 or not logits.shape[0] or not logits.shape[-1]:
        raise ValueError(f"logits must be (K, B, ..., C) with K >= 1, got shape {logits.shape}")
    if (energies is None) != (by == "confidence"):
        raise ValueError(f"by={by!r} {'needs' if energies is None else 'takes no'} energies")
    arrays = [logits]
    if energies is not None:
        (energies,) = floats(energies=energies)
        if energies.ndim != 3 or energies.shape[::2] != logits.shape[:2] or not energies.shape[1]:
            raise ValueError(f"energies must be (K, T, B) for logits {logits.shape}, got {energies.shape}")
        arrays.append(jnp.moveaxis(energies, 2, 1))
    arrays = [jnp.moveaxis(x, 1, 0) for x in arrays]
    choose = partial(_vote, by)
    return run_sharded(choose, arrays, {}, batch=arrays[0], core=arrays[0].ndim - 1, out=Vote(0, 0))


@partial(jax.jit, static_argnums=0)
def _vote(by: Criterion, logits: Array, energies: Array | None = None) -> Vote:
    """Of logits (B, K, ..., C) and energies (B, K, T)."""
    if by == "confidence":
        wide = logits.astype(at_least_float32(logits.dtype))
        top = jax.nn.softmax(wide, axis=-1).max(-1)
        cost = -top.reshape(*top.shape[:2], -1).mean(-1) if top.size else jnp.zeros(top.shape[:2])
    else:
        wide = energies.astype(at_least_float32(energies.dtype))
        cost = wide.sum(-1) if by == "sum" else wide[..., -1]
    starts = cost.argmin(-1)
    pick = lambda x: jnp.take_along_axis(x, starts.reshape(-1, *[1] * (x.ndim - 1)), axis=1)[:, 0]  # noqa: E731
    chosen, best = pick(logits), pick(cost).astype(logits.dtype)
    unknown = jnp.isnan(best).reshape(-1, *[1] * (chosen.ndim - 1))
    return Vote(jnp.where(unknown, jnp.nan, chosen), starts)
