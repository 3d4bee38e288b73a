"""What public functions make of their arguments: dense arrays of one floating type, under JAX's standard promotion.

Rule of types, everywhere the same: lists and NumPy arrays become JAX arrays; integers and booleans become JAX's default
floating type (float32, or float64 with `jax_enable_x64`); several arrays are computed in the widest of their floating
types, in which Python numbers do not count. Half precision stays half precision, except that FFTs, complex numbers and
sums over many units are taken in float32 (`at_least_float32`).

NaN in is NaN out: comparisons are written so that NaN takes the branch that keeps it; `largest` and `rectified` stand
in for operations of XLA that drop it. What a mask leaves out is replaced before it is computed with.

Precision of products, everywhere the same: `precision`. On a TPU and on GPUs with TensorFloat-32, products of float32
are computed from shorter numbers unless it is "highest"; on a CPU it changes nothing.
"""

import operator
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
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


def precision() -> str:
    """The precision of every product: that of `jax.default_matmul_precision`, "highest" where nothing is set.

    It is read where a program is traced. JAX compiles anew where the setting has changed.
    """
    return jax.config.jax_default_matmul_precision or "highest"


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
    return tuple(x if x.dtype == dtype else x.astype(dtype) for x in dense)


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


def broadcasting(target: tuple[int, ...], of: str, dtype: Any, **values: Any) -> list[Array]:
    """Values per unit, by name: arrays of a floating type that broadcast to the shape of an argument named `of`.

    Raises:
        ValueError: one that does not; the message names it and both shapes.
    """
    arrays = []
    for name, value in values.items():
        (value,) = floats(**{name: value})
        try:
            fits = np.broadcast_shapes(value.shape, target) == tuple(target)
        except ValueError:
            fits = False
        if not fits:
            meant = f"a scalar or broadcast to {of} {target}" if target else "a single number"
            raise ValueError(f"{name} must be {meant}, got shape {value.shape}")
        arrays.append(value.astype(dtype))
    return arrays


def concrete(x: Any) -> np.ndarray | None:
    """The values of an array; None where they cannot be read, in a traced function or on other hosts' devices."""
    if isinstance(x, jax.core.Tracer) or not getattr(x, "is_fully_addressable", True):
        return None
    return np.asarray(x)


def check_dt(dt: Array | float) -> None:
    """Raise ValueError unless the time step is finite and > 0, or traced."""
    values = concrete(dt)
    if values is not None and not ((values > 0) & (values < np.inf)).all():
        raise ValueError(f"dt must be finite and > 0, got {dt}")


def whole_number(name: str, value: Any, least: int = 0) -> int:
    """A number of steps, classes or the like, as an int. 3.0 is 3; 0.3 / 0.1, which is not quite 3, is refused.

    Raises:
        TypeError: a bool, a traced value, or no single number.
        ValueError: it is not whole, or below `least`.
    """
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    if isinstance(value, float | np.floating):
        raise ValueError(f"{name} must be a whole number, got {value!r}")
    try:
        if isinstance(value, bool) or getattr(value, "dtype", np.int64) == np.bool_:
            raise TypeError("bool")
        value = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number, got {value!r}") from None
    if value < least:
        raise ValueError(f"{name} must be >= {least}, got {value}")
    return value


def class_indices(name: str, labels: Any, num_classes: int, counted: Any = True) -> Array:
    """Labels as an integer array; where `counted`, they must lie in 0 to num_classes - 1.

    Raises:
        ValueError: labels of a floating type; a counted one out of range, unless it is traced.
    """
    labels = dense_array(name, labels)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        if labels.dtype != bool and labels.size:
            raise ValueError(f"{name} must be integer class indices, got {labels.dtype} {labels.shape}")
        labels = labels.astype(jnp.int32)
    values, chosen = concrete(labels), concrete(counted)
    if values is not None and chosen is not None:
        wrong = values[((values < 0) | (values >= num_classes)) & chosen]
        if wrong.size:
            raise ValueError(f"{name} must lie in 0 to {num_classes - 1}, got {wrong[0]} among {labels.shape}")
    return labels


def hot_targets(logits: Array, targets: Any) -> Array:
    """Targets in [0, 1] of logits (..., K), of their floating type.

    Raises:
        ValueError: another shape than that of the logits, where `targets` (B, ..., K) may lack their first axes;
            values outside [0, 1], unless they are traced.
    """
    targets = dense_array("targets", targets)
    missing = logits.ndim - targets.ndim
    fits = missing >= 0 and logits.shape[missing:] == targets.shape
    if not logits.ndim or not fits or (missing and targets.ndim < 2):
        raise ValueError(
            "logits and targets must both be (..., K), or logits (T, B, ..., K) and targets (B, ..., K), "
            f"got {logits.shape} and {targets.shape}"
        )
    values = concrete(targets)
    if values is not None and ((values < 0) | (values > 1)).any():
        raise ValueError(f"targets must lie in [0, 1], got {values.min()} to {values.max()} among {targets.shape}")
    return targets.astype(logits.dtype)


def largest(x: Array, axis: int | tuple[int, ...], *, keepdims: bool = False) -> Array:
    """Maximum over axes, and NaN where there is one, which XLA's own reduction drops on CPUs."""
    return x.max(axis, keepdims=keepdims) + jnp.where(jnp.isnan(x), x, 0).sum(axis, keepdims=keepdims)


def rectified(x: Array) -> Array:
    """x where it is positive, else 0; and NaN, which XLA drops on CPUs where it fuses `jax.nn.relu` into a sum."""
    return jnp.where(x <= 0, 0, x)
