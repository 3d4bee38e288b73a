"""Training objectives."""

from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array

from oscnets.phase import modulus, sincos, unit


def cluster_synchrony(
    phases: Array, masks: Array, amplitude: Array | None = None, silent: Literal["exclude", "zero"] = "exclude"
) -> Array:
    """How far phases are from one tight cluster a group, the clusters spread evenly (KomplexNet, equation 2).

        [ mean_g V_g + sum_{m=1..G//2} |sum_g e^{i m <phase>_g}|^2 / (2 G m^2) ] / (1 + (G/2) sum_{m=1..G//2} 1/m^2)

    V_g is a group's circular variance in a channel, averaged over channels; <phase>_g the angle of its sum over pixels
    and channels (after Ricci et al. 2021).

    Args:
        phases: (..., H, W, C) radians.
        masks: (..., H, W, G), bool or 0/1; leading axes broadcast against those of `phases`.
        amplitude: (..., H, W, C) or None. A unit of amplitude 0 is silent.
        silent: "exclude" leaves silent units out of means and sizes; "zero" counts them with phase 0, as the published
            code does. Without `amplitude` nothing is silent.

    Returns:
        (...,) in [0, 1], to rounding; 0 is perfect. A group without units has V = 0 and mean phase 0. Gradients are
        finite everywhere, and 0 in the phases of units that do not count.

    Raises:
        ValueError: shapes that do not fit, or another word for `silent`.
    """
    phases, masks = jnp.asarray(phases), jnp.asarray(masks)
    if phases.ndim < 3 or masks.ndim < 3 or phases.shape[-3:-1] != masks.shape[-3:-1]:
        raise ValueError(
            f"masks must be (..., H, W, G) for phases (..., H, W, C), got {masks.shape} and {phases.shape}"
        )
    if amplitude is not None and jnp.shape(amplitude)[-3:] != phases.shape[-3:]:
        raise ValueError(f"amplitude must be shaped like phases {phases.shape}, got {jnp.shape(amplitude)}")
    if silent not in ("exclude", "zero"):
        raise ValueError(f"silent must be 'exclude' or 'zero', got {silent!r}")
    sine, cosine = sincos(phases)
    active = jnp.ones_like(cosine) if amplitude is None else (jnp.asarray(amplitude) > 0).astype(cosine.dtype)
    if silent == "zero":
        cosine, sine, active = jnp.where(active > 0, cosine, 1), sine * active, jnp.ones_like(active)
    masks = masks.astype(cosine.dtype)
    over_pixels = lambda x: jnp.einsum("...hwg,...hwc->...gc", masks, x, precision="highest")  # noqa: E731
    size = over_pixels(active)
    real, imag = over_pixels(active * cosine), over_pixels(active * sine)
    variance = jnp.where(size > 0, 1 - modulus(real, imag) / jnp.where(size > 0, size, 1), 0)
    value, groups = variance.mean((-2, -1)), masks.shape[-1]
    for m, (cosines, sines) in enumerate(_powers(*_direction(real.sum(-1), imag.sum(-1)), groups // 2), start=1):
        value += (cosines.sum(-1) ** 2 + sines.sum(-1) ** 2) / (2 * groups * m**2)
    return value / (1 + groups / 2 * sum(1 / m**2 for m in range(1, groups // 2 + 1)))


def _direction(real: Array, imag: Array) -> tuple[Array, Array]:
    """Unit vector of a group's mean phase; phase 0 for a group that has none."""
    cosine, sine = unit(real, imag)
    return jnp.where((cosine == 0) & (sine == 0), 1, cosine), sine


def _powers(real: Array, imag: Array, count: int) -> list[tuple[Array, Array]]:
    """e^{i m angle} for m = 1 ... count, by multiplication."""
    powers = [(real, imag)] if count else []
    for _ in range(count - 1):
        last_real, last_imag = powers[-1]
        powers.append((last_real * real - last_imag * imag, last_real * imag + last_imag * real))
    return powers


def binary_cross_entropy(logits: Array, targets: Array) -> Array:
    """Binary cross-entropy with logits, nats, averaged over the last axis.

    Args:
        logits: (..., K).
        targets: (..., K) in [0, 1].
    """
    return (jax.nn.softplus(logits) - logits * targets).mean(-1)
