"""The one loop over time of every dynamics."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

PyTree = Any


def unroll(
    step: Callable[[PyTree], PyTree],
    state: PyTree,
    length: int,
    *,
    collect: Callable[[PyTree], PyTree] | None = None,
    checkpoint_every: int | None = None,
) -> tuple[PyTree, PyTree]:
    """Apply `state = step(state)` `length` times with `jax.lax.scan`.

    Args:
        step: one step of a dynamics; keeps structure, shapes and dtypes of the state.
        state: any pytree of arrays.
        length: number of steps, >= 0.
        collect: what to keep of the state after every step; None keeps nothing.
        checkpoint_every: recompute instead of store for gradients: only the state of every so many steps is kept, and
            the steps between are run again backwards. Needs memory for `length / checkpoint_every` states plus that
            many steps' intermediates.

    Returns:
        The last state, and `collect(state)` of every step stacked along a new first axis of size `length` (None without
        `collect`).

    Raises:
        ValueError: negative length, or `checkpoint_every` below 1.
    """
    if length < 0:
        raise ValueError(f"length must be >= 0, got {length}")
    if checkpoint_every is not None and checkpoint_every < 1:
        raise ValueError(f"checkpoint_every must be >= 1, got {checkpoint_every}")

    def body(state: PyTree, _: None) -> tuple[PyTree, PyTree]:
        state = step(state)
        return state, None if collect is None else collect(state)

    scan = partial(jax.lax.scan, body)
    if checkpoint_every is None or checkpoint_every >= length:
        return scan(state, length=length)
    blocks, rest = divmod(length, checkpoint_every)
    inner = jax.checkpoint(lambda state, _: scan(state, length=checkpoint_every), prevent_cse=False)
    state, stacked = jax.lax.scan(inner, state, length=blocks)
    stacked = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), stacked)
    if rest:
        state, tail = scan(state, length=rest)
        stacked = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), stacked, tail)
    return state, stacked


def sum_over(
    fn: Callable[[PyTree, PyTree, PyTree], tuple[Array, PyTree]], shared: PyTree, xs: PyTree, data: PyTree = ()
) -> tuple[Array, PyTree]:
    """The sum over t of a scalar `fn(shared, xs[t], data[t])`, without storing what lies inside `fn`.

    When it is differentiated, each step's gradient is taken in the same pass as its value, so that memory does not grow
    with the number of steps beyond the gradient in `xs` itself. It sums a loss over time, or over slices of a batch.

    Args:
        fn: returns (scalar, auxiliary pytree); closes over no traced array.
        shared: pytree of float arrays that every step uses; differentiated.
        xs: pytree of float arrays, time first; differentiated.
        data: pytree of arrays, time first, of any dtype; not differentiated.

    Returns:
        The sum, and the auxiliary values stacked along time; these carry no gradient.
    """
    return _sum_over(fn, shared, xs, data)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _sum_over(fn, shared, xs, data):
    def body(total, x):
        value, aux = fn(shared, *x)
        return total + value, aux

    return jax.lax.scan(body, _zero(), (xs, data))


def _zero() -> Array:
    return jnp.zeros((), jnp.result_type(float))


def _sum_over_forward(fn, shared, xs, data):
    differentiate = jax.value_and_grad(fn, argnums=(0, 1), has_aux=True)

    def body(carry, x):
        (value, aux), (of_shared, of_x) = differentiate(shared, *x)
        total, gradient = carry
        return (total + value, jax.tree.map(jnp.add, gradient, of_shared)), (aux, of_x)

    start = (_zero(), jax.tree.map(jnp.zeros_like, shared))
    (total, of_shared), (aux, of_xs) = jax.lax.scan(body, start, (xs, data))
    return (total, aux), (of_shared, of_xs, data)


def _no_gradient(x: Array) -> Any:
    return jnp.zeros_like(x) if jnp.issubdtype(x.dtype, jnp.floating) else np.zeros(x.shape, jax.dtypes.float0)


def _sum_over_backward(fn, residuals, cotangents):
    of_shared, of_xs, data = residuals
    scaled = jax.tree.map(lambda g: cotangents[0].astype(g.dtype) * g, (of_shared, of_xs))
    return *scaled, jax.tree.map(_no_gradient, data)


_sum_over.defvjp(_sum_over_forward, _sum_over_backward)
