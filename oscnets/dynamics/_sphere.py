"""Arithmetic of `oscnets.dynamics.sphere` with the components along any axis, unchecked."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

_inline = partial(jax.jit, static_argnames="axis", inline=True)


@_inline
def norm(x: Array, axis: int = -1) -> Array:
    """Euclidean norm, 0 with derivatives of 0 where squares underflow."""
    square = (x * x).sum(axis)
    zero = square < jnp.finfo(square.dtype).tiny
    return jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, square)))


@_inline
def normalize(x: Array, axis: int = -1) -> Array:
    """Unit vectors, 0 where the norm is 0."""
    size = jnp.expand_dims(norm(x, axis), axis)
    zero = size == 0
    return jnp.where(zero, 0, x / jnp.where(zero, 1, size))


@_inline
def rotate(x: Array, rotation: Array, axis: int = -1) -> Array:
    """Velocity of the rotation; frequencies broadcast to x with n // 2 pairs in the place of its n components."""
    axis %= x.ndim
    pairs = x.shape[axis] // 2
    in_pairs = (*x.shape[:axis], pairs, 2, *x.shape[axis + 1 :])
    even = jax.lax.slice_in_dim(x, 0, 2 * pairs, axis=axis).reshape(in_pairs)
    first, second = (jax.lax.index_in_dim(even, i, axis + 1, keepdims=False) for i in range(2))
    turned = jnp.stack([rotation * second, -rotation * first], axis + 1)
    turned = turned.reshape(*x.shape[:axis], 2 * pairs, *x.shape[axis + 1 :])
    still = jnp.zeros_like(jax.lax.slice_in_dim(x, 2 * pairs, None, axis=axis))
    return jnp.concatenate([turned, still], axis)


@_inline
def step(x: Array, force: Array, rate: Array | float, rotation: Array | None, axis: int = -1) -> Array:
    """One step; rate and, as of `rotate`, rotation broadcast to x."""
    velocity = force - (force * x).sum(axis, keepdims=True) * x
    if rotation is not None:
        velocity += rotate(x, rotation, axis)
    return normalize(x + rate * velocity, axis)
