"""Checks and conversions of the arguments of membranes and oscillators."""

import math

import jax.numpy as jnp
from jax import Array

from oscnets._inputs import concrete, floats


def check_dt(dt: Array | float, target: tuple[int, ...] = ()) -> None:
    """Raise ValueError unless the time step is finite and > 0, or traced, and fits the position's shape.

    Without `target` it must be a single number.
    """
    if not target and jnp.ndim(dt):
        raise ValueError(f"dt must be a single number, got shape {jnp.shape(dt)}")
    check_broadcast("dt", jnp.shape(dt), target)
    values = concrete(dt)
    if values is not None and not ((values > 0) & (values < math.inf)).all():
        raise ValueError(f"dt must be finite and > 0, got {dt}")


def as_floats(*arrays: Array) -> tuple[Array, ...]:
    """Arrays of one floating type; integers and booleans become JAX's default floating type."""
    return floats(**{f"array {i}": x for i, x in enumerate(arrays, 1)})


def check_broadcast(name: str, shape: tuple[int, ...], target: tuple[int, ...]) -> None:
    """Raise ValueError unless an argument's shape broadcasts to the position's."""
    try:
        fits = jnp.broadcast_shapes(shape, target) == tuple(target)
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"{name} must broadcast to the position's shape {target}, got {shape}")
