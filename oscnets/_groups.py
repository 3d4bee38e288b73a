"""Sums of unit vectors over groups of pixels: what the synchrony loss and the scores of synchrony are made of."""

from typing import Literal

import jax.numpy as jnp
import numpy as np
from jax import Array

from oscnets._inputs import at_least_float32, concrete, dense_array, floats, precision
from oscnets._sharding import batch_sharded
from oscnets.phase import angle, sincos, unit


@batch_sharded("phases", core=3)
def group_sums(
    phases: Array, masks: Array, amplitude: Array | None = None, silent: Literal["exclude", "zero"] = "exclude"
) -> tuple[Array, Array, Array]:
    """Number of units, and sums of cos(phase) and sin(phase), of each group in each channel, (..., G, C) each.

    Args:
        phases: (..., H, W, C) radians. Half precision is computed in float32.
        masks: (..., H, W, G), bool or 0/1; leading axes broadcast against those of `phases`.
        amplitude: (..., H, W, C) or None. A unit of amplitude 0 is silent.
        silent: "exclude" leaves silent units out; "zero" counts them with phase 0.

    Raises:
        ValueError: shapes that do not fit, no group, class indices in place of masks (integers of several values,
            unless they are traced), or another value of `silent`.
    """
    masks = dense_array("masks", masks)
    if amplitude is None:
        (phases,) = floats(phases=phases)
    else:
        phases, amplitude = floats(phases=phases, amplitude=amplitude)
    _check(phases, masks, amplitude, silent)
    phases = phases.astype(at_least_float32(phases.dtype))
    counted = (masks != 0).any(-1)[..., None]
    active = jnp.ones_like(phases)
    if amplitude is not None:
        loud = ~(amplitude <= 0)
        phases = jnp.where(loud & jnp.isnan(amplitude), amplitude.astype(phases.dtype), phases)
        if silent == "zero":
            phases = jnp.where(loud, phases, 0)
        else:
            counted, active = counted & loud, loud.astype(phases.dtype)
    sine, cosine = sincos(jnp.where(counted, phases, 0))
    masks = masks.astype(cosine.dtype)
    over_pixels = lambda x: jnp.einsum("...hwg,...hwc->...gc", masks, x, precision=precision())  # noqa: E731
    return over_pixels(active), over_pixels(active * cosine), over_pixels(active * sine)


def direction(real: Array, imag: Array) -> tuple[Array, Array]:
    """Unit vector of a group's mean phase; that of phase 0 where the mean is undefined."""
    cosine, sine = unit(real, imag)
    return jnp.where((cosine == 0) & (sine == 0), 1, cosine), sine


def mean_separation(real: Array, imag: Array, present: Array) -> Array:
    """Mean angle in [0, pi] between the sums of two groups, over pairs of those present, (..., G) each; 0 without."""
    cosine, sine = direction(real, imag)
    number, angles = 0, 0
    for i in range(real.shape[-1]):
        for j in range(i + 1, real.shape[-1]):
            along = cosine[..., i] * cosine[..., j] + sine[..., i] * sine[..., j]
            across = cosine[..., i] * sine[..., j] - sine[..., i] * cosine[..., j]
            both = present[..., i] & present[..., j]
            number += both
            # Exact near 0 and pi, where an arccosine is not.
            angles += jnp.where(both, angle(along, jnp.abs(across)), 0)
    return angles / jnp.maximum(number, 1)


def _check(phases: Array, masks: Array, amplitude: Array | None, silent: str) -> None:
    if phases.ndim < 3 or masks.ndim < 3 or phases.shape[-3:-1] != masks.shape[-3:-1] or not masks.shape[-1]:
        raise ValueError(
            f"masks must be (..., H, W, G) for phases (..., H, W, C), got {masks.shape} and {phases.shape}"
        )
    values = concrete(masks) if jnp.issubdtype(masks.dtype, jnp.integer) else None
    if values is not None and len(found := np.unique(values[values != 0])) > 1:
        raise ValueError(f"masks must be bool or 0/1, got values {found[0]} to {found[-1]} among {masks.shape}")
    if amplitude is not None and amplitude.shape[-3:] != phases.shape[-3:]:
        raise ValueError(f"amplitude must be shaped like phases {phases.shape}, got {amplitude.shape}")
    leads = [x.shape[:-3] for x in (phases, masks, amplitude) if x is not None]
    try:
        jnp.broadcast_shapes(*leads)
    except ValueError:
        raise ValueError(f"leading axes of phases, masks and amplitude must fit together, got {leads}") from None
    if silent not in ("exclude", "zero"):
        raise ValueError(f"silent must be 'exclude' or 'zero', got {silent!r}")
