"""Oscillators on spheres: unit vectors of n components that turn towards the force on them.

The generalized Kuramoto model of Miyato, Löwe, Geiger and Welling, "Artificial Kuramoto oscillatory neurons" (2025),
section 3. With n = 2 it is, to first order in the rate, the phase model of `oscnets.dynamics.kuramoto`.

The components are the last axis. A vector of norm 0 has no direction: its unit vector is 0, with derivatives of 0. In
float32 squares of norms below 1e-19 underflow, and such vectors count as 0. NaN stays NaN.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from oscnets._inputs import at_least_float32, broadcasting, floats, standard_promotion
from oscnets._sharding import batch_sharded
from oscnets.dynamics import _sphere

__all__ = ["energy", "norm", "normalize", "order_parameter", "rotate", "sphere_step"]


def __dir__() -> list[str]:
    return __all__


@standard_promotion
@batch_sharded("x", core=1)
def norm(x: Array) -> Array:
    """Euclidean norm over the last axis, (..., n) -> (...); where it is 0 its derivatives are 0.

    Raises:
        ValueError: no axis, or one of size 0.
    """
    (x,) = _vectors(x=x)
    return _sphere.norm(x.astype(at_least_float32(x.dtype))).astype(x.dtype)


@standard_promotion
@batch_sharded("x", core=1)
def normalize(x: Array) -> Array:
    """Unit vectors of the directions of (..., n); 0 with derivatives of 0 where the norm is 0.

    Raises:
        ValueError: no axis, or one of size 0.
    """
    (x,) = _vectors(x=x)
    return _sphere.normalize(x.astype(at_least_float32(x.dtype))).astype(x.dtype)


@standard_promotion
@batch_sharded("x", core=1)
def rotate(x: Array, rotation: Array | float) -> Array:
    """Velocity of the natural rotation, Omega x with an antisymmetric Omega of frequencies w.

        (a, b) -> (w b, -w a)    for every pair (a, b) of consecutive components

    Args:
        x: (..., n); of odd n the last component does not turn.
        rotation: w, radians per unit of time; a scalar, or broadcasting to the pairs (..., n // 2). In the plane a
            positive w turns against the phase: it is minus the natural frequency of `kuramoto.graph_step`.

    Returns:
        (..., n), orthogonal to x.

    Raises:
        ValueError: a rotation that does not broadcast.
        TypeError: a sparse or complex array.
    """
    (x,) = _vectors(x=x)
    return _sphere.rotate(x, _per_pair(x, rotation))


def _per_pair(x: Array, rotation: Array | float) -> Array:
    pairs = (*x.shape[:-1], x.shape[-1] // 2)
    (rotation,) = broadcasting(pairs, "the pairs of components of x", x.dtype, rotation=rotation)
    return jnp.broadcast_to(rotation, pairs)


@standard_promotion
@batch_sharded("x", core=1)
def sphere_step(x: Array, force: Array, *, rate: Array | float, rotation: Array | float | None = None) -> Array:
    """One step of oscillators on spheres towards the force on each.

        x_i <- N(x_i + rate * (Omega_i x_i + f_i - <f_i, x_i> x_i)),    N(x) = x / ||x||

    Args:
        x: (..., n) unit vectors.
        force: f, (..., n), what coupling and stimulus sum up to, for example sum_j J_ij x_j + c_i; only the part that
            is tangent to the sphere acts. Its leading axes broadcast against those of x.
        rate: step size; a scalar, or broadcasting to the oscillators (...).
        rotation: natural frequencies of the pairs of components, see `rotate`; None is none.

    Returns:
        (..., n) unit vectors after the step, in the widest floating type of x and force; half precision is computed in
        float32. In one step an oscillator turns towards a force f at the angle a by arctan(rate |f| sin a).

    Raises:
        ValueError: numbers of components that differ, a rate or rotation that does not broadcast.
        TypeError: a sparse or complex array.
    """
    x, force = _vectors(x=x, force=force)
    x, force = jnp.broadcast_arrays(x, force)
    wide = at_least_float32(x.dtype)
    (rate,) = broadcasting(x.shape[:-1], "the oscillators of x", wide, rate=rate)
    turn = None if rotation is None else _per_pair(x.astype(wide), rotation)
    return _sphere.step(x.astype(wide), force.astype(wide), rate[..., None], turn).astype(x.dtype)


@standard_promotion
@batch_sharded("x", core=2)
def energy(x: Array, coupled: Array, stimulus: Array | float = 0.0) -> Array:
    """Energy E = -1/2 sum_i <x_i, (J x)_i> - sum_i <c_i, x_i>.

    Without rotation, with a symmetric coupling J and a constant stimulus c, it never rises in the continuous-time limit
    of `sphere_step`.

    Args:
        x: (..., N, n) unit vectors.
        coupled: J x, of the same shape: what the coupling makes of them.
        stimulus: c, broadcasting to x.

    Returns:
        (...,).

    Raises:
        ValueError: shapes that do not fit together.
        TypeError: a sparse or complex array.
    """
    x, coupled = _vectors(x=x, coupled=coupled)
    if x.ndim < 2:
        raise ValueError(f"x must be (..., N, n), got shape {x.shape}")
    x, coupled = jnp.broadcast_arrays(x, coupled)
    wide = at_least_float32(x.dtype)
    (stimulus,) = broadcasting(x.shape, "x", wide, stimulus=stimulus)
    return _energy(x.astype(wide), coupled.astype(wide), stimulus).astype(x.dtype)


@partial(jax.jit, inline=True)
def _energy(x: Array, coupled: Array, stimulus: Array) -> Array:
    return -(x * (0.5 * coupled + stimulus)).sum((-2, -1))


@standard_promotion
@batch_sharded("x", core=2)
def order_parameter(x: Array, weights: Array | None = None) -> Array:
    """Synchrony in [0, 1]: the norm of the weighted mean of the unit vectors.

    Args:
        x: (..., N, n) unit vectors.
        weights: >= 0, broadcasting to the oscillators (..., N); None is equal weights. Oscillators of weight 0 have no
            influence, NaN included.

    Returns:
        (...,); 1 where all directions agree, 0 where the mean vanishes or the weights sum to 0, with derivatives of 0.

    Raises:
        ValueError: x without an axis of oscillators, weights that do not broadcast.
    """
    (x,) = _vectors(x=x)
    if x.ndim < 2:
        raise ValueError(f"x must be (..., N, n), got shape {x.shape}")
    wide = at_least_float32(x.dtype)
    (weights,) = broadcasting(x.shape[:-1], "the oscillators of x", wide, weights=1.0 if weights is None else weights)
    return _order_parameter(x.astype(wide), jnp.broadcast_to(weights, x.shape[:-1])).astype(x.dtype)


@partial(jax.jit, inline=True)
def _order_parameter(x: Array, weights: Array) -> Array:
    weights = weights[..., None]
    total = weights.sum(-2)
    mean = jnp.where(weights == 0, 0, weights * x).sum(-2) / jnp.where(total == 0, 1, total)
    size = _sphere.norm(mean)
    # Rounding may carry the norm of a mean of unit vectors above 1; its derivatives stay.
    return size - jax.lax.stop_gradient(jnp.where(size > 1, size - 1, 0))


def _vectors(**arrays: Array) -> tuple[Array, ...]:
    """Arrays (..., n) of one floating type and one n."""
    values = floats(**arrays)
    for name, x in zip(arrays, values, strict=True):
        if not x.ndim or not x.shape[-1]:
            raise ValueError(f"{name} must be (..., n) with n >= 1 components, got shape {x.shape}")
        if x.shape[-1] != values[0].shape[-1]:
            first = next(iter(arrays))
            raise ValueError(f"{first} and {name} must have equal components, got {values[0].shape} and {x.shape}")
    return values
