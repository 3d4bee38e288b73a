"""Checks and conversions of the arguments of membranes and oscillators."""

import math

import jax
import jax.numpy as jnp
from jax import Array


def check_dt(dt: Array | float) -> None:
    """Raise ValueError unless the time step is finite and > 0, or traced."""
    if not isinstance(dt, jax.core.Tracer) and not 0 < dt < math.inf:
        raise ValueError(f"dt must be finite and > 0, got {dt}")


def as_floats(*arrays: Array) -> tuple[Array, ...]:
    """Arrays of one floating type; integers and booleans become JAX's default floating type."""
    arrays = [jnp.asarray(x) for x in arrays]
    dtype = jnp.result_type(*arrays)
    return tuple(x.astype(dtype if jnp.issubdtype(dtype, jnp.floating) else float) for x in arrays)


def check_broadcast(name: str, shape: tuple[int, ...], target: tuple[int, ...]) -> None:
    """Raise ValueError unless an argument's shape broadcasts to the position's."""
    try:
        fits = jnp.broadcast_shapes(shape, target) == tuple(target)
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"{name} must broadcast to the position's shape {target}, got {shape}")
