"""A loop in two parts whose gradients are taken of all steps at once, as far as they can be.

    state = step(state, value),    value, seen = part(state)

The loop keeps the state, `seen`, and what the derivative of `step` needs if that is to be stored. What the derivative
of `part` needs is computed after it, of all steps in one batch. Backwards, a loop carries the cotangents of state and
value, and the gradient in what `step` closes over; the gradient in what `part` closes over is of all steps at once.

This takes a fraction of the kernels, computes `part` twice, and needs the memory of all its intermediates.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jax.extend.core import Literal, jaxpr_as_fun

from oscnets._inputs import standard_promotion
from oscnets._products.linear import Linear, linear_map
from oscnets.dynamics._hoisted import Hoisted, add, join, split

PyTree = Any


class _Loop(NamedTuple):
    """Static arguments; each function takes the arrays that it closed over after its own."""

    step: Hoisted
    part: Hoisted
    length: int
    store: bool


def unroll_at_once(
    step: Callable[[PyTree, PyTree], PyTree],
    part: Callable[[PyTree], tuple[PyTree, PyTree]],
    state: PyTree,
    value: PyTree,
    length: int,
    *,
    store: bool,
) -> tuple[PyTree, PyTree]:
    """Apply `state = step(state, value)` and `value, seen = part(state)` `length` times.

    Args:
        step: keeps structure, shapes and dtypes of the state.
        part: gives values like the first one.
        state, value: pytrees of float arrays, before the first step.
        length: number of steps, >= 1.
        store: whether the loop stores what the derivative of `step` needs; else it is computed again after the loop, of
            all steps at once.

    Returns:
        States after every step, and what was seen of them, stacked along a new first axis.
    """
    start = jax.tree.map(jnp.asarray, (state, value))
    step, part = Hoisted(step, *start), Hoisted(part, start[0])
    floats, others = split((step.consts, part.consts))
    return _unroll(_Loop(step, part, length, store), floats, others, start)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _unroll(loop: _Loop, floats: PyTree, others: PyTree, start: PyTree) -> tuple[PyTree, PyTree]:
    return _run(loop, join(floats, others), start)


def _run(loop: _Loop, arrays: PyTree, start: PyTree) -> tuple[PyTree, PyTree]:
    of_step, of_part = arrays

    def body(carry: PyTree, _: None) -> tuple[PyTree, PyTree]:
        state = loop.step(*carry, of_step)
        value, seen = loop.part(state, of_part)
        return (state, value), (state, seen)

    return jax.lax.scan(body, start, None, loop.length)[1]


class _Pull:
    """The transposed derivative of `fn(varying, constant, *args)` in all but `constant`, apart from what it needs.

    What it needs is arrays: those that follow from `varying` and `constant` alone are the same at every step; those
    that are leaves of the first of `args`, the state, are not kept a second time.
    """

    def __init__(self, fn: Callable, varying: PyTree, constant: PyTree, *args: PyTree):
        trees = []

        def both(varying: PyTree, constant: PyTree, *args: PyTree) -> tuple[PyTree, list]:
            value, pull = jax.vjp(lambda varying, *args: fn(varying, constant, *args), varying, *args)
            leaves, tree = jax.tree.flatten(pull)
            trees.append(tree)
            return value, leaves

        closed, (value, _) = jax.make_jaxpr(both, return_shape=True)(varying, constant, *args)
        self._run, self._tree, self._value = jaxpr_as_fun(closed), trees[-1], jax.tree.structure(value)
        before, in_state = (len(jax.tree.leaves(x)) for x in ((varying, constant), args[0]))
        inputs, needed = closed.jaxpr.invars, closed.jaxpr.outvars[self._value.num_leaves :]
        state, moving = inputs[before : before + in_state], set(inputs[before:])
        for equation in closed.jaxpr.eqns:
            if any(x in moving for x in equation.invars if not isinstance(x, Literal)):
                moving.update(equation.outvars)
        moves = lambda x: not isinstance(x, Literal) and x in moving  # noqa: E731
        # Of each array that the derivative needs its place in the state, "kept", or "fixed".
        self._sources = [state.index(x) if x in state else "kept" if moves(x) else "fixed" for x in needed]

    def value_and_kept(self, varying: PyTree, constant: PyTree, *args: PyTree) -> tuple[PyTree, list]:
        value, needed = self._evaluate(varying, constant, *args)
        return value, self._of("kept", needed)

    def fixed(self, varying: PyTree, constant: PyTree, *args: PyTree) -> list:
        return self._of("fixed", self._evaluate(varying, constant, *args)[1])

    def __call__(self, fixed: list, kept: list, state: PyTree, cotangent: PyTree) -> tuple[PyTree, ...]:
        """Cotangents of `varying` and of each of `args`."""
        sources, states = {"kept": iter(kept), "fixed": iter(fixed)}, jax.tree.leaves(state)
        needed = [states[x] if isinstance(x, int) else next(sources[x]) for x in self._sources]
        return jax.tree.unflatten(self._tree, needed)(cotangent)

    def _evaluate(self, *args: PyTree) -> tuple[PyTree, list]:
        out, count = self._run(*jax.tree.leaves(args)), self._value.num_leaves
        return jax.tree.unflatten(self._value, out[:count]), out[count:]

    def _of(self, source: str, needed: list) -> list:
        return [x for x, of in zip(needed, self._sources, strict=True) if of == source]


class _Rule(NamedTuple):
    """Static arguments of the derivative."""

    loop: _Loop
    of_step: _Pull
    of_part: _Pull


@partial(_unroll.defjvp, symbolic_zeros=True)
@standard_promotion
def _unroll_jvp(loop, primals, tangents):
    floats, others, start = primals
    d_floats, _, d_start = tangents
    is_zero = lambda dx: isinstance(dx, SymbolicZero)  # noqa: E731
    varying = jax.tree.map(lambda x, dx: None if is_zero(dx) else x, floats, d_floats)
    constant = join(jax.tree.map(lambda x, dx: x if is_zero(dx) else None, floats, d_floats), others)
    d_varying = jax.tree.map(lambda dx: None if is_zero(dx) else dx, d_floats)
    of_step = lambda varying, constant, *carry: loop.step(*carry, join(varying, constant))  # noqa: E731
    of_part = lambda varying, constant, state: loop.part(state, join(varying, constant))  # noqa: E731
    of_step = _Pull(of_step, varying[0], constant[0], *start)
    of_part = _Pull(of_part, varying[1], constant[1], start[0])
    arrays = join(varying[1], constant[1])

    def body(carry: PyTree, _: None) -> tuple[PyTree, PyTree]:
        state, kept = of_step.value_and_kept(varying[0], constant[0], *carry)
        value, seen = loop.part(state, arrays)
        return (state, value), (state, seen, kept if loop.store else None)

    states, seen, kept = jax.lax.scan(body, start, None, loop.length)[1]
    residuals = (varying, constant, start, states, kept)
    return (states, seen), linear_map(_TANGENT, _Rule(loop, of_step, of_part), residuals, (d_varying, d_start))


def _tangent(rule, residuals, tangents):
    varying, constant, start, *_ = residuals
    zeros = partial(jax.tree.map, jnp.zeros_like)
    tangents = tuple(zeros(x) if dx is None else dx for x, dx in zip((varying, start), tangents, strict=True))
    run = lambda varying, start: _run(rule.loop, join(varying, constant), start)  # noqa: E731
    return jax.jvp(run, (varying, start), tangents)[1]


def _transpose(rule, residuals, cotangents):
    loop, of_step, of_part = rule
    varying, constant, start, states, kept_of_step = residuals
    given = list(zip(varying, constant, strict=True))
    (values, _), kept_of_part = jax.vmap(lambda state: of_part.value_and_kept(*given[1], state))(states)
    before = jax.tree.map(lambda x, rest: jnp.concatenate([x[None], rest[:-1]]), start, (states, values))
    if not loop.store:
        kept_of_step = jax.vmap(lambda *carry: of_step.value_and_kept(*given[0], *carry)[1])(*before)
    fixed = of_step.fixed(*given[0], *start), of_part.fixed(*given[1], start[0])

    def body(carry: PyTree, x: PyTree) -> tuple[PyTree, PyTree]:
        (ct_state, ct_value, ct_step), (cts, state, before, kept) = carry, x
        _, more = of_part(fixed[1], kept[1], state, (ct_value, cts[1]))
        more_step, ct_state, ct_before = of_step(fixed[0], kept[0], before, add(add(ct_state, cts[0]), more))
        return (ct_state, ct_before, add(ct_step, more_step)), ct_value

    carry = jax.tree.map(jnp.zeros_like, (*start, varying[0]))
    xs = (cotangents, states, before[0], (kept_of_step, kept_of_part))
    (ct_state, ct_value, ct_step), ct_values = jax.lax.scan(body, carry, xs, reverse=True)
    parts = lambda varying: jax.vmap(lambda state: loop.part(state, join(varying, constant[1])))(states)  # noqa: E731
    (ct_part,) = jax.vjp(parts, varying[1])[1]((ct_values, cotangents[1]))
    return (ct_step, ct_part), (ct_state, ct_value)


_TANGENT = Linear(_tangent, _transpose)
