"""A loop over time whose gradients undo the steps instead of storing them."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from oscnets.dynamics._unroll import unroll

PyTree = Any


class Reader(Protocol):
    """A sum over time of something linear in what is observed, taken as it comes."""

    start: Callable[[Array], PyTree]  # (an observation) -> accumulator
    add: Callable[[PyTree, PyTree, Array, Array], PyTree]  # (weights, accumulator, observation, t) -> accumulator
    finish: Callable[[PyTree], Array]  # (accumulator) -> the result
    # (weights, last accumulator, observation, t) -> the part of the result that is this step's
    contribution: Callable[[PyTree, PyTree, Array, Array], Array]


class Plan(NamedTuple):
    """What is static of a loop.

    Attributes:
        step, invert: (params, state) -> state; one undoes the other.
        observe: (state) -> Array, linear; what is kept of the state after every step.
        length: number of steps, >= 1.
        reader: what sums the observations up; None stacks them.
    """

    step: Callable[[PyTree, PyTree], PyTree]
    invert: Callable[[PyTree, PyTree], PyTree]
    observe: Callable[[PyTree], Array]
    length: int
    reader: Reader | None


def unroll_read(
    plan: Plan, params: PyTree, state: PyTree, weights: PyTree = None, *, checkpoint_every: int | None = None
) -> tuple[PyTree, Array]:
    """The plan by `unroll`: the last state, and the observations stacked along time or summed up by the reader."""
    state, (_, acc), stacked = _run(plan, params, weights, state, checkpoint_every)
    return state, stacked if plan.reader is None else plan.reader.finish(acc)


def unroll_reversible(
    plan: Plan, params: PyTree, state: PyTree, weights: PyTree = None, *, invertible: Array | bool = True
) -> tuple[PyTree, Array]:
    """`unroll_read` with gradients in memory that does not grow with the number of steps.

    They start from the last state and undo a step at a time. A reader keeps the observations from being stored; stacked
    ones are an output like any other.

    Args:
        plan: what to run; its functions close over no traced array.
        params, state: pytrees of float arrays.
        weights: of the reader.
        invertible: () bool. Where it is False, gradients take the steps again from the first state, with checkpoints
            every sqrt(length) steps. Memory for these is set aside by the compiler in either case.

    Returns:
        The last state, and the observations or what the reader made of them.
    """
    return _reversible(plan, params, weights, state, jnp.asarray(invertible))


def _run(plan: Plan, params: PyTree, weights: PyTree, state: PyTree, checkpoint_every: int | None):
    reader = plan.reader

    def step(carry: PyTree) -> PyTree:
        state, (t, acc) = carry
        state = plan.step(params, state)
        acc = None if reader is None else reader.add(weights, acc, plan.observe(state), t)
        return state, (t + 1, acc)

    start = (jnp.zeros((), jnp.int32), None if reader is None else reader.start(plan.observe(state)))
    collect = (lambda carry: plan.observe(carry[0])) if reader is None else None
    (state, acc), stacked = unroll(
        step, (state, start), plan.length, collect=collect, checkpoint_every=checkpoint_every
    )
    return state, acc, stacked


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _reversible(plan: Plan, params: PyTree, weights: PyTree, state: PyTree, invertible: Array):
    return _forward(plan, params, weights, state, invertible)[0]


def _forward(plan, params, weights, state, invertible):
    last, (_, acc), stacked = _run(plan, params, weights, state, None)
    observed = stacked if plan.reader is None else plan.reader.finish(acc)
    return (last, observed), (params, weights, state, last, acc, invertible)


def _backward(plan, residuals, cotangents):
    *_, invertible = residuals
    gradients = jax.lax.cond(invertible, partial(_undo, plan), partial(_retake, plan), residuals[:-1], cotangents)
    return *gradients, np.zeros((), jax.dtypes.float0)


def _retake(plan: Plan, residuals: PyTree, cotangents: PyTree):
    params, weights, start, *_ = residuals
    every = math.isqrt(plan.length - 1) + 1
    again = lambda params, weights, start: unroll_read(plan, params, start, weights, checkpoint_every=every)  # noqa: E731
    return jax.vjp(again, params, weights, start)[1](cotangents)


def _undo(plan: Plan, residuals: PyTree, cotangents: PyTree):
    params, weights, _, last, acc = residuals
    of_last, of_observed = cotangents

    def observed(weights: PyTree, state: PyTree, t: Array) -> Array:
        """What the result has of this step."""
        return plan.reader.contribution(weights, acc, plan.observe(state), t)

    def body(carry: PyTree, x: PyTree) -> tuple[PyTree, None]:
        state, of_state, of_params, of_weights = carry
        t, of_this = x
        if plan.reader is None:
            (more,) = jax.vjp(plan.observe, state)[1](of_this)
        else:
            to_weights, more = jax.vjp(lambda w, s: observed(w, s, t), weights, state)[1](of_observed)
            of_weights = _add(of_weights, to_weights)
        before = plan.invert(params, state)
        to_params, of_before = jax.vjp(plan.step, params, before)[1](_add(of_state, more))
        return (before, of_before, _add(of_params, to_params), of_weights), None

    zeros = lambda tree: jax.tree.map(jnp.zeros_like, tree)  # noqa: E731
    xs = (jnp.arange(plan.length), of_observed if plan.reader is None else None)
    start = (last, of_last, zeros(params), zeros(weights))
    (_, of_state, of_params, of_weights), _ = jax.lax.scan(body, start, xs, reverse=True)
    return of_params, of_weights, of_state


def _add(a: PyTree, b: PyTree) -> PyTree:
    return jax.tree.map(jnp.add, a, b)


_reversible.defvjp(_forward, _backward)
