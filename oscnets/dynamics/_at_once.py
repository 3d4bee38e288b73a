"""Gradients of a loop whose steps are linearized all at once, after the loop, from the states that it went through.

Of a step `state = step(state, part(state))` the loop keeps the state, and what the derivative of `step` needs. What the
derivative of `part` needs is computed of all steps in one batch. Backwards, the loop carries the cotangent of the state
and the gradient in what `step` closes over; the gradient in what `part` closes over is of all steps in one batch again.
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


def unroll_at_once(
    step: Callable, state: PyTree, length: int, part: Callable[[PyTree], PyTree] | None
) -> tuple[PyTree, PyTree]:
    """The last state, and the states after every step."""
    state = jax.tree.map(jnp.asarray, state)
    if part is None:
        part, step = step, _second
    part = Hoisted(part, state)
    step = Hoisted(step, state, part.out)
    floats, others = split((step.consts, part.consts))
    return _states(_Loop(step, part, length), floats, others, state)


def _second(_: PyTree, new: PyTree) -> PyTree:
    return new


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _states(loop: _Loop, floats: PyTree, others: PyTree, state: PyTree) -> tuple[PyTree, PyTree]:
    return _run(loop, join(floats, others), state)


def _run(loop: _Loop, arrays: PyTree, state: PyTree) -> tuple[PyTree, PyTree]:
    of_step, of_part = arrays

    def body(state: PyTree, _: None) -> tuple[PyTree, PyTree]:
        state = loop.step(state, loop.part(state, of_part), of_step)
        return state, state

    return jax.lax.scan(body, state, None, loop.length)


class _Pull:
    """The transposed derivative of `fn(varying, constant, *args)` in all but `constant`, apart from what it needs.

    What it needs is arrays: those that follow from `varying` and `constant` alone are the same at every step; those
    that are leaves of the first of `args` are not kept a second time.
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
        counts = [len(jax.tree.leaves(x)) for x in ((varying, constant), args[0])]
        inputs, outputs = closed.jaxpr.invars, closed.jaxpr.outvars[self._value.num_leaves :]
        state, moving = inputs[counts[0] : sum(counts)], set(inputs[counts[0] :])
        for equation in closed.jaxpr.eqns:
            if any(x in moving for x in equation.invars if not isinstance(x, Literal)):
                moving.update(equation.outvars)
        is_kept = lambda x: not isinstance(x, Literal) and x in moving  # noqa: E731
        # Of each array that the derivative needs its place in the state, "kept", or "fixed".
        self._sources = [state.index(x) if x in state else "kept" if is_kept(x) else "fixed" for x in outputs]

    def value_and_kept(self, varying: PyTree, constant: PyTree, *args: PyTree) -> tuple[PyTree, list]:
        value, needed = self._evaluate(varying, constant, *args)
        return value, self._of("kept", needed)

    def fixed(self, varying: PyTree, constant: PyTree, *args: PyTree) -> list:
        return self._of("fixed", self._evaluate(varying, constant, *args)[1])

    def __call__(self, fixed: list, kept: list, state: PyTree, cotangent: PyTree) -> tuple[PyTree, ...]:
        """Cotangents of `varying` and of each of `args`."""
        sources = {"kept": iter(kept), "fixed": iter(fixed)}
        states = jax.tree.leaves(state)
        needed = [states[x] if isinstance(x, int) else next(sources[x]) for x in self._sources]
        return jax.tree.unflatten(self._tree, needed)(cotangent)

    def _evaluate(self, *args: PyTree) -> tuple[PyTree, list]:
        out = self._run(*jax.tree.leaves(args))
        count = self._value.num_leaves
        return jax.tree.unflatten(self._value, out[:count]), out[count:]

    def _of(self, source: str, needed: list) -> list:
        return [x for x, of in zip(needed, self._sources, strict=True) if of == source]


class _Rule(NamedTuple):
    """Static arguments of the derivative."""

    loop: _Loop
    of_step: _Pull
    of_part: _Pull


@partial(_states.defjvp, symbolic_zeros=True)
@standard_promotion
def _states_jvp(loop, primals, tangents):
    floats, others, state = primals
    d_floats, _, d_state = tangents
    is_zero = lambda dx: isinstance(dx, SymbolicZero)  # noqa: E731
    varying = jax.tree.map(lambda x, dx: None if is_zero(dx) else x, floats, d_floats)
    constant = join(jax.tree.map(lambda x, dx: x if is_zero(dx) else None, floats, d_floats), others)
    of_step = lambda varying, constant, state, value: loop.step(state, value, join(varying, constant))  # noqa: E731
    of_part = lambda varying, constant, state: loop.part(state, join(varying, constant))  # noqa: E731
    of_step = _Pull(of_step, varying[0], constant[0], state, loop.part.out)
    arrays = join(varying, constant)

    def body(state: PyTree, _: None) -> tuple[PyTree, PyTree]:
        value = loop.part(state, arrays[1])
        state, kept = of_step.value_and_kept(varying[0], constant[0], state, value)
        return state, (state, kept)

    last, (states, kept) = jax.lax.scan(body, state, None, loop.length)
    rule = _Rule(loop, of_step, _Pull(of_part, varying[1], constant[1], state))
    d_varying = jax.tree.map(lambda dx: None if is_zero(dx) else dx, d_floats)
    return (last, states), linear_map(_TANGENT, rule, (varying, constant, state, states, kept), (d_varying, d_state))


def _tangent(rule, residuals, tangents):
    varying, constant, state, *_ = residuals
    zeros = partial(jax.tree.map, jnp.zeros_like)
    tangents = tuple(zeros(x) if dx is None else dx for x, dx in zip((varying, state), tangents, strict=True))
    run = lambda varying, state: _run(rule.loop, join(varying, constant), state)  # noqa: E731
    return jax.jvp(run, (varying, state), tangents)[1]


def _transpose(rule, residuals, cotangents):
    loop, of_step, of_part = rule
    varying, constant, start, states, kept = residuals
    given = list(zip(varying, constant, strict=True))
    before = jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest[:-1]]), start, states)
    value = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), loop.part.out)
    fixed = of_step.fixed(*given[0], start, value), of_part.fixed(*given[1], start)
    kept = kept, jax.vmap(lambda state: of_part.value_and_kept(*given[1], state)[1])(before)

    def body(carry: PyTree, x: PyTree) -> tuple[PyTree, PyTree]:
        (ct_after, ct_step), (ct_state, state, kept) = carry, x
        more, ct_direct, ct_value = of_step(fixed[0], kept[0], state, add(ct_after, ct_state))
        _, ct_before = of_part(fixed[1], kept[1], state, ct_value)
        return (add(ct_direct, ct_before), add(ct_step, more)), ct_value

    carry = cotangents[0], jax.tree.map(jnp.zeros_like, varying[0])
    (ct_start, ct_step), ct_values = jax.lax.scan(body, carry, (cotangents[1], before, kept), reverse=True)
    all_parts = lambda varying: jax.vmap(lambda state: loop.part(state, join(varying, constant[1])))(before)  # noqa: E731
    (ct_part,) = jax.vjp(all_parts, varying[1])[1](ct_values)
    return (ct_step, ct_part), ct_start


_TANGENT = Linear(_tangent, _transpose)
