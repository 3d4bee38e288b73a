"""What public functions make of their arguments: dense arrays of one floating type, under JAX's standard promotion.

Rule of types, everywhere the same: lists and NumPy arrays become JAX arrays; integers and booleans become JAX's default
floating type (float32, or float64 with `jax_enable_x64`); several arrays are computed in the widest of their floating
types, in which Python numbers do not count. Half precision stays half precision, except that FFTs, complex numbers and
sums over many units are taken in float32 (`at_least_float32`).
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
from jax import Array

P = ParamSpec("P")
R = TypeVar("R")


def standard_promotion(fn: Callable[P, R]) -> Callable[P, R]:
    """Run a function under JAX's default promotion, whatever the caller set for code of his own.

    `jax_numpy_dtype_promotion="strict"` and `jax_numpy_rank_promotion="raise"` find bugs in the caller's code; the
    library broadcasts and promotes on purpose.
    """

    @wraps(fn)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            return fn(*args, **kwargs)

    return call


def floats(**arrays: Any) -> tuple[Array, ...]:
    """Arrays of one floating type, by name, in the order given.

    Raises:
        TypeError: a sparse matrix, complex numbers, or what is no array of numbers; the message names the argument.
    """
    dense = [dense_array(name, x) for name, x in arrays.items()]
    for name, x in zip(arrays, dense, strict=True):
        if jnp.issubdtype(x.dtype, jnp.complexfloating):
            raise TypeError(f"{name} must be real, got {x.dtype}")
    dtype = float_type(*dense)
    return tuple(x.astype(dtype) for x in dense)


def dense_array(name: str, x: Any) -> Array:
    """A JAX array; TypeError for sparse matrices and what is no array of numbers."""
    if not isinstance(x, jax.Array) and (hasattr(x, "todense") or hasattr(x, "toarray")):
        raise TypeError(f"{name} must be a dense array, got the sparse {type(x).__name__}: give its dense form")
    try:
        return jnp.asarray(x)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be an array of numbers, got {type(x).__name__}: {error}") from None


def float_type(*arrays: Any) -> Any:
    """The widest floating type among arrays; the default one where none is floating."""
    with jax.numpy_dtype_promotion("standard"):
        dtype = jnp.result_type(*arrays)
    return dtype if jnp.issubdtype(dtype, jnp.floating) else jnp.result_type(float)


def at_least_float32(dtype: Any) -> Any:
    """float32 for half precision, else the type itself."""
    return jnp.dtype(jnp.float32) if jnp.finfo(dtype).bits < 32 else jnp.dtype(dtype)
