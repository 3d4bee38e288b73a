"""Synchrony of oscillators: critical coupling, order in space, over time and between pairs."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from oscnets._inputs import at_least_float32, floats, precision, standard_promotion
from oscnets.phase import modulus, order_parameter, sincos


@standard_promotion
def critical_coupling(width: Array | float, distribution: str = "lorentzian") -> Array:
    """Coupling from which a large population synchronizes: K_c = 2 / (pi g(0)) (Kuramoto, 1984).

    For oscillators that all receive K / N from each other, with natural frequencies of a density g that is symmetric
    about its peak g(0). Beyond it, Lorentzian frequencies have an order parameter of sqrt(1 - K_c / K).

    Args:
        width: radians per unit of time, as for `oscnets.dynamics.graphs.natural_frequencies`: half width at half height
            of "lorentzian" (K_c = 2 width), standard deviation of "gaussian" (sqrt(8 / pi) width), half of the range of
            "uniform" (4 width / pi).
        distribution: one of these.

    Returns:
        Radians per unit of time, of the shape of `width`.

    Raises:
        ValueError: an unknown distribution.
    """
    factors = {"lorentzian": 2.0, "gaussian": float(np.sqrt(8 / np.pi)), "uniform": 4 / np.pi}
    if distribution not in factors:
        raise ValueError(f"distribution must be one of {', '.join(factors)}, got {distribution!r}")
    (width,) = floats(width=width)
    return factors[distribution] * width


@standard_promotion
def local_order_parameter(phases: Array, weights: Array) -> Array:
    """Modulus of the weighted mean of e^{i phase_j} around each oscillator i.

    Args:
        phases: (..., N) radians. Half precision is computed in float32.
        weights: (N, N) >= 0, row i holds the neighbours of oscillator i, for example a matrix of couplings.

    Returns:
        (..., N) in [0, 1]; 0 for an oscillator without neighbours.

    Raises:
        ValueError: shapes that do not fit.
    """
    phases, weights = floats(phases=phases, weights=weights)
    if not phases.ndim or weights.shape != 2 * phases.shape[-1:]:
        raise ValueError(f"weights must be (N, N) for phases (..., N), got {weights.shape} and {phases.shape}")
    phases, weights = (x.astype(at_least_float32(x.dtype)) for x in (phases, weights))
    total = weights.sum(-1)
    parts = [jnp.einsum("ij,...j->...i", weights, x, precision=precision()) for x in sincos(phases)]
    return modulus(*parts) / jnp.where(total == 0, 1, total)


@standard_promotion
def metastability(phases: Array) -> Array:
    """Variance over time of the modulus of the order parameter (Shanahan, 2010, equation 3).

    Args:
        phases: (T, ..., N) radians, T >= 2. Half precision is computed in float32.

    Returns:
        (...,) >= 0, of T - 1 degrees of freedom: 0 where synchrony is constant, at any level.

    Raises:
        ValueError: fewer than two axes or steps.
    """
    (phases,) = floats(phases=phases)
    if phases.ndim < 2 or len(phases) < 2:
        raise ValueError(f"phases must be (T, ..., N) with T >= 2, got shape {phases.shape}")
    order = order_parameter(phases)
    return modulus(order.real, order.imag).var(0, ddof=1)


@standard_promotion
def phase_locking(phases: Array) -> Array:
    """Mean over time of e^{i (phase_j - phase_k)} of every pair of oscillators (Lachaux et al., 1999).

    The modulus is the phase-locking value in [0, 1], the angle the mean difference. For the cv-RNN it is the similarity
    of units, whose leading eigenvectors separate objects.

    Args:
        phases: (T, ..., N) radians.

    Returns:
        Complex array (..., N, N), Hermitian, at least complex64.

    Raises:
        ValueError: fewer than two axes, or no step.
    """
    (phases,) = floats(phases=phases)
    if phases.ndim < 2 or not len(phases):
        raise ValueError(f"phases must be (T, ..., N) with T >= 1, got shape {phases.shape}")
    sine, cosine = sincos(phases.astype(at_least_float32(phases.dtype)))
    mean = lambda a, b: jnp.einsum("t...j,t...k->...jk", a, b, precision=precision()) / len(phases)  # noqa: E731
    across = mean(sine, cosine)
    return jax.lax.complex(mean(cosine, cosine) + mean(sine, sine), across - jnp.swapaxes(across, -1, -2))
