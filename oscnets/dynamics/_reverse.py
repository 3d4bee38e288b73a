"""Gradients that invert the steps of a loop one by one, from its last state."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from oscnets._products.linear import Linear, linear_map
from oscnets.dynamics._hoisted import Hoisted, add, join, split
from oscnets.dynamics._scan import Reduction, ReductionFunctions, checkpoint_interval, run_steps, split_reduction

PyTree = Any


class _Loop(NamedTuple):
    """Static arguments of a reversible loop; each function takes the arrays that it closed over after its own."""

    step: Callable
    inverse: Callable
    collect: Callable | None
    reduce: ReductionFunctions | None
    length: int


class _Arrays(NamedTuple):
    """Arrays that the functions of a loop closed over."""

    step: list[Array]
    inverse: list[Array]
    read: tuple[list[Array], PyTree]  # of collect, and the weights of the reduction


def unroll_reversible(
    step: Callable,
    state: PyTree,
    length: int,
    collect: Callable | None,
    reduce: Reduction | None,
    inverse: Callable,
    invertible: Array | bool,
) -> tuple[PyTree, PyTree]:
    """`oscnets.dynamics.unroll` with `Reverse(inverse, invertible)`."""
    state = jax.tree.map(jnp.asarray, state)
    step, inverse = Hoisted(step, state), Hoisted(inverse, state)
    collect = None if collect is None else Hoisted(collect, state)
    functions, weights = split_reduction(reduce)
    arrays = _Arrays(step.consts, inverse.consts, ([] if collect is None else collect.consts, weights))
    floats, others = split(arrays)
    loop = _Loop(step, inverse, collect, functions, length)
    return _reversible(loop, floats, others, state, jnp.asarray(invertible))


def _run(loop: _Loop, arrays: _Arrays, state: PyTree, every: int | None = None):
    """The last state and what is kept, and the last accumulator."""
    of_collect, weights = arrays.read
    step = lambda state: (loop.step(state, arrays.step), None)  # noqa: E731
    collect = None if loop.collect is None else lambda state, *_: loop.collect(state, of_collect)
    if loop.reduce is None:
        last, acc, kept = run_steps(step, state, loop.length, keep=collect, every=every)
        return (last, kept), acc
    options = {"reduce": loop.reduce, "weights": weights, "observe": collect, "every": every}
    last, acc, _ = run_steps(step, state, loop.length, **options)
    return (last, loop.reduce.finish(acc)), acc


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _reversible(loop: _Loop, floats: _Arrays, others: _Arrays, state: PyTree, invertible: Array):
    return _run(loop, join(floats, others), state)[0]


@partial(_reversible.defjvp, symbolic_zeros=True)
def _reversible_jvp(loop, primals, tangents):
    floats, others, state, invertible = primals
    out, acc = _run(loop, join(floats, others), state)
    residuals = (floats, others, state, out[0], acc, invertible)
    return out, linear_map(_TANGENT, loop, residuals, (tangents[0], tangents[2]))


def _tangent(loop, residuals, tangents):
    floats, others, state, *_ = residuals
    zeros = partial(jax.tree.map, jnp.zeros_like)
    tangents = tuple(zeros(x) if dx is None else dx for x, dx in zip((floats, state), tangents, strict=True))
    run = lambda floats, state: _run(loop, join(floats, others), state)[0]  # noqa: E731
    return jax.jvp(run, (floats, state), tangents)[1]


def _backward(loop, residuals, cotangents):
    *residuals, invertible = residuals
    return jax.lax.cond(invertible, partial(_invert, loop), partial(_recompute, loop), residuals, cotangents)


def _recompute(loop: _Loop, residuals: PyTree, cotangents: PyTree) -> tuple[_Arrays, PyTree]:
    floats, others, start, *_ = residuals
    every = checkpoint_interval(loop.length, None)
    run = lambda floats, start: _run(loop, join(floats, others), start, every)[0]  # noqa: E731
    return jax.vjp(run, floats, start)[1](cotangents)


def _invert(loop: _Loop, residuals: PyTree, cotangents: PyTree) -> tuple[_Arrays, PyTree]:
    floats, others, _, last, acc = residuals
    ct_last, ct_kept = cotangents
    inverse = join(floats, others).inverse

    def contribution(read: PyTree, state: PyTree, t: Array) -> PyTree:
        """What the result keeps of step t."""
        read = join(read, others.read)
        value = loop.collect(state, read[0])
        return value if loop.reduce is None else loop.reduce.contribution(read[1], acc, value, t)

    step = lambda state, arrays: loop.step(state, join(arrays, others.step))  # noqa: E731

    def body(carry: PyTree, x: PyTree) -> tuple[PyTree, None]:
        state, ct_state, ct_step, ct_read = carry
        t, ct_value = x
        if loop.collect is not None:
            ct_value = ct_value if loop.reduce is None else ct_kept
            more_read, more = jax.vjp(lambda read, state: contribution(read, state, t), floats.read, state)[1](ct_value)
            ct_state, ct_read = add(ct_state, more), add(ct_read, more_read)
        before = loop.inverse(state, inverse)
        ct_before, more_step = jax.vjp(step, before, floats.step)[1](ct_state)
        return (before, ct_before, add(ct_step, more_step), ct_read), None

    zeros = partial(jax.tree.map, jnp.zeros_like)
    xs = (jnp.arange(loop.length), ct_kept if loop.reduce is None else None)
    start = (last, ct_last, zeros(floats.step), zeros(floats.read))
    (_, ct_state, ct_step, ct_read), _ = jax.lax.scan(body, start, xs, reverse=True)
    return _Arrays(ct_step, zeros(floats.inverse), ct_read), ct_state


_TANGENT = Linear(_tangent, _backward)
