"""Loop over time: what is kept of the states and how gradients are taken are two separate choices.

`collect` stacks a value of every step, `reduce` sums these values up as they come. `gradient` is `Store`, `Checkpoint`
or `Reverse`.
"""

import math
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jax import Array
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from oscnets._products.linear import Linear, linear_map

PyTree = Any


@dataclass(frozen=True)
class Store:
    """Gradients from what automatic differentiation stores of every step."""


@dataclass(frozen=True)
class Checkpoint:
    """Gradients that recompute the steps between stored states.

    Attributes:
        every: steps between two stored states, >= 1; None is the square root of the number of steps, rounded up.
    """

    every: int | None = None


@dataclass(frozen=True)
class Reverse:
    """Gradients that invert the steps one by one from the last state, in memory that does not grow with their number.

    Second derivatives through it are right as far as the inverse is.

    Attributes:
        inverse: (state) -> state, the inverse of the step.
        invertible: () bool, may be traced. Where it is False, gradients take the steps again from the first state, with
            checkpoints as `Checkpoint()` sets them. The compiler sets memory aside for these in either case.
    """

    inverse: Callable[[PyTree], PyTree]
    invertible: Array | bool = True


class Reduction(Protocol):
    """Streaming reduction over time of the values v_1 ... v_T; the result is a sum of one contribution per step.

    The functions close over no traced array: what they differentiate besides the values is in `weights`.

    Attributes:
        weights: pytree of float arrays, or None.
        start: (a value) -> accumulator; only the value's shape and type are used.
        add: (weights, accumulator, value, t) -> accumulator.
        finish: (accumulator) -> result.
        contribution: (weights, last accumulator, value, t) -> what step t adds to the result.
    """

    weights: PyTree
    start: Callable[[PyTree], PyTree]
    add: Callable[[PyTree, PyTree, PyTree, Array], PyTree]
    finish: Callable[[PyTree], PyTree]
    contribution: Callable[[PyTree, PyTree, PyTree, Array], PyTree]


def unroll(
    step: Callable[[PyTree], PyTree],
    state: PyTree,
    length: int,
    *,
    collect: Callable[[PyTree], PyTree] | None = None,
    reduce: Reduction | None = None,
    gradient: Store | Checkpoint | Reverse | None = None,
    checkpoint_every: int | None = None,
) -> tuple[PyTree, PyTree]:
    """Apply `state = step(state)` `length` times with `jax.lax.scan`.

    Args:
        step: one step of a dynamics; keeps structure, shapes and dtypes of the state.
        state: any pytree of arrays; of float arrays for `Reverse`.
        length: number of steps, >= 0; >= 1 with `reduce` or `Reverse`.
        collect: what to take of the state after every step; None takes nothing.
        reduce: sums up what `collect` takes instead of stacking it, for example `oscnets.ops.streaming_readout`.
        gradient: how gradients are taken; None is `Store()`.
        checkpoint_every: shorthand for `gradient=Checkpoint(checkpoint_every)`. Needs memory for
            `length / checkpoint_every` states plus that many steps' intermediates.

    Returns:
        The last state, and `collect(state)` of every step stacked along a new first axis of size `length` (None without
        `collect`), or the reduction of these values.

    Raises:
        ValueError: a length or number of steps between checkpoints that is too small, `reduce` without `collect`,
            `checkpoint_every` together with `gradient`.
    """
    gradient = _gradient(gradient, checkpoint_every)
    least = 1 if reduce is not None or isinstance(gradient, Reverse) else 0
    if length < least:
        raise ValueError(f"length must be >= {least}, got {length}")
    if reduce is not None and collect is None:
        raise ValueError("reduce needs collect, which gives it a value of every step, got collect=None")
    if isinstance(gradient, Reverse):
        return _unroll_reversible(step, state, length, collect, reduce, gradient)
    every = checkpoint_interval(length, gradient.every) if isinstance(gradient, Checkpoint) else None
    if reduce is None:
        return _checkpointed_scan(_body(step, collect), state, None, length, every)
    without_aux = lambda state: (step(state), None)  # noqa: E731
    functions, weights = split_reduction(reduce)
    options = {"reduce": functions, "weights": weights, "observe": collect, "every": every}
    last, acc, _ = run_steps(without_aux, state, length, **options)
    return last, reduce.finish(acc)


class _Body:
    """Body of a scan. JAX finds the compiled loop again by its body, so that one is kept for as long as its step lives.

    It refers to the step and to `collect` weakly where it is kept, so that it does not prolong their lives.
    """

    def __init__(self, step: Callable[[], Callable], collect: Callable[[], Callable]):
        self._step, self._collect, self._blocks = step, collect, {}

    def __call__(self, state: PyTree, _: None) -> tuple[PyTree, PyTree]:
        state = self._step()(state)
        return state, self._collect()(state)

    def block(self, every: int) -> Callable:
        """So many steps, recomputed for gradients."""
        if every not in self._blocks:
            self._blocks[every] = _block(self, every)
        return self._blocks[every]


_BODIES = weakref.WeakKeyDictionary()


def _nothing(_: PyTree) -> None:
    return None


def _body(step: Callable, collect: Callable | None) -> _Body:
    collect = _nothing if collect is None else collect
    try:
        of_step = _BODIES.setdefault(step, weakref.WeakKeyDictionary())
        return of_step.setdefault(collect, _Body(weakref.ref(step), weakref.ref(collect)))
    except TypeError:  # of a kind that has no hash or takes no weak references
        return _Body(lambda: step, lambda: collect)


def checkpoint_interval(length: int, every: int | None) -> int:
    """Steps between two stored states."""
    return math.isqrt(max(length, 1) - 1) + 1 if every is None else every


def _gradient(
    gradient: Store | Checkpoint | Reverse | None, checkpoint_every: int | None
) -> Store | Checkpoint | Reverse:
    if checkpoint_every is not None:
        if gradient is not None:
            raise ValueError(f"give gradient or checkpoint_every, got {gradient} and {checkpoint_every}")
        gradient = Checkpoint(checkpoint_every)
    if gradient is None:
        return Store()
    if not isinstance(gradient, Store | Checkpoint | Reverse):
        raise ValueError(f"gradient must be a Store, Checkpoint or Reverse, got {gradient!r}")
    if isinstance(gradient, Checkpoint) and gradient.every is not None and gradient.every < 1:
        raise ValueError(f"checkpoint_every must be >= 1, got {gradient.every}")
    return gradient


class WeightedReduction(NamedTuple):
    """A `Reduction` put together again from its weights and functions."""

    weights: PyTree
    start: Callable
    add: Callable
    finish: Callable
    contribution: Callable


class ReductionFunctions(NamedTuple):
    """The functions of a `Reduction`, which are static, without its weights."""

    start: Callable
    add: Callable
    finish: Callable
    contribution: Callable


def split_reduction(reduce: Reduction | None) -> tuple[ReductionFunctions | None, PyTree]:
    """Functions and weights apart, as a custom rule for gradients takes them."""
    if reduce is None:
        return None, None
    return ReductionFunctions(reduce.start, reduce.add, reduce.finish, reduce.contribution), reduce.weights


def run_steps(
    step: Callable[[PyTree], tuple[PyTree, PyTree]],
    state: PyTree,
    length: int,
    *,
    keep: Callable[[PyTree, PyTree], PyTree] | None = None,
    reduce: ReductionFunctions | None = None,
    weights: PyTree = None,
    observe: Callable[[PyTree], PyTree] | None = None,
    every: int | None = None,
) -> tuple[PyTree, PyTree, PyTree]:
    """The scan that `unroll` and the adjoints run: it may stack and reduce at once.

    Args:
        step: (state) -> (state, auxiliary value of the step).
        state, length: as for `unroll`.
        keep: (state after the step, auxiliary value) -> what is stacked.
        reduce, weights, observe: the reduction, over `observe(state)`.
        every: steps between two checkpoints; None stores.

    Returns:
        Last state, last accumulator (None without a reduction), stacked values (None without `keep`).
    """

    def body(carry: PyTree, t: Array | None) -> tuple[PyTree, PyTree]:
        state, acc = carry
        state, aux = step(state)
        if reduce is not None:
            acc = reduce.add(weights, acc, observe(state), t)
        return (state, acc), None if keep is None else keep(state, aux)

    start, times = (state, None), None
    if reduce is not None:
        start, times = (state, reduce.start(observe(state))), jnp.arange(length, dtype=jnp.int32)
    (state, acc), stacked = _checkpointed_scan(body, start, times, length, every)
    return state, acc, stacked


def _checkpointed_scan(body: Callable, carry: PyTree, times: Array | None, length: int, every: int | None):
    """`jax.lax.scan` that stores the carry of every so many steps, and recomputes what lies between for gradients."""
    if every is None or every >= length:
        return jax.lax.scan(body, carry, times, length)
    blocks, rest = divmod(length, every)
    part = lambda start, end: None if times is None else times[start:end]  # noqa: E731
    block = body.block(every) if isinstance(body, _Body) else _block(body, every)
    whole = None if times is None else part(0, blocks * every).reshape(blocks, every)
    carry, stacked = jax.lax.scan(block, carry, whole, blocks)
    stacked = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), stacked)
    if rest:
        carry, tail = jax.lax.scan(body, carry, part(blocks * every, length), rest)
        stacked = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), stacked, tail)
    return carry, stacked


def _block(body: Callable, every: int) -> Callable:
    return jax.checkpoint(lambda carry, times: jax.lax.scan(body, carry, times, every), prevent_cse=False)


# Gradients by inversion


class _Hoisted:
    """A function of arrays whose closed-over arrays became arguments: (*args, consts) -> what the function returns."""

    def __init__(self, fn: Callable, *examples: PyTree):
        closed, out = jax.make_jaxpr(fn, return_shape=True)(*examples)
        self.consts, self._jaxpr, self._out = closed.consts, closed.jaxpr, jax.tree.structure(out)

    def __call__(self, *args: PyTree) -> PyTree:
        *args, consts = args
        out = jaxpr_as_fun(ClosedJaxpr(self._jaxpr, consts))(*jax.tree.leaves(args))
        return jax.tree.unflatten(self._out, out)


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


def _unroll_reversible(step, state, length, collect, reduce, gradient):
    state = jax.tree.map(jnp.asarray, state)
    step, inverse = _Hoisted(step, state), _Hoisted(gradient.inverse, state)
    collect = None if collect is None else _Hoisted(collect, state)
    functions, weights = split_reduction(reduce)
    arrays = _Arrays(step.consts, inverse.consts, ([] if collect is None else collect.consts, weights))
    floats, others = _split(arrays)
    loop = _Loop(step, inverse, collect, functions, length)
    return _reversible(loop, floats, others, state, jnp.asarray(gradient.invertible))


def _split(arrays: _Arrays) -> tuple[_Arrays, _Arrays]:
    """Those that can be differentiated, and the others, with None in the places of the other part."""
    is_float = lambda x: jnp.issubdtype(jnp.result_type(x), jnp.inexact)  # noqa: E731
    floats = jax.tree.map(lambda x: jnp.asarray(x) if is_float(x) else None, arrays)
    return floats, jax.tree.map(lambda x: None if is_float(x) else x, arrays)


def _join(floats: _Arrays, others: _Arrays) -> _Arrays:
    return jax.tree.map(lambda a, b: b if a is None else a, floats, others, is_leaf=lambda x: x is None)


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
    return _run(loop, _join(floats, others), state)[0]


@partial(_reversible.defjvp, symbolic_zeros=True)
def _reversible_jvp(loop, primals, tangents):
    floats, others, state, invertible = primals
    out, acc = _run(loop, _join(floats, others), state)
    residuals = (floats, others, state, out[0], acc, invertible)
    return out, linear_map(_TANGENT, loop, residuals, (tangents[0], tangents[2]))


def _tangent(loop, residuals, tangents):
    floats, others, state, *_ = residuals
    zeros = partial(jax.tree.map, jnp.zeros_like)
    tangents = tuple(zeros(x) if dx is None else dx for x, dx in zip((floats, state), tangents, strict=True))
    run = lambda floats, state: _run(loop, _join(floats, others), state)[0]  # noqa: E731
    return jax.jvp(run, (floats, state), tangents)[1]


def _backward(loop, residuals, cotangents):
    *residuals, invertible = residuals
    return jax.lax.cond(invertible, partial(_invert, loop), partial(_recompute, loop), residuals, cotangents)


def _recompute(loop: _Loop, residuals: PyTree, cotangents: PyTree) -> tuple[_Arrays, PyTree]:
    floats, others, start, *_ = residuals
    every = checkpoint_interval(loop.length, None)
    run = lambda floats, start: _run(loop, _join(floats, others), start, every)[0]  # noqa: E731
    return jax.vjp(run, floats, start)[1](cotangents)


def _invert(loop: _Loop, residuals: PyTree, cotangents: PyTree) -> tuple[_Arrays, PyTree]:
    floats, others, _, last, acc = residuals
    ct_last, ct_kept = cotangents
    inverse = _join(floats, others).inverse

    def contribution(read: PyTree, state: PyTree, t: Array) -> PyTree:
        """What the result keeps of step t."""
        read = _join(read, others.read)
        value = loop.collect(state, read[0])
        return value if loop.reduce is None else loop.reduce.contribution(read[1], acc, value, t)

    step = lambda state, arrays: loop.step(state, _join(arrays, others.step))  # noqa: E731

    def body(carry: PyTree, x: PyTree) -> tuple[PyTree, None]:
        state, ct_state, ct_step, ct_read = carry
        t, ct_value = x
        if loop.collect is not None:
            ct_value = ct_value if loop.reduce is None else ct_kept
            more_read, more = jax.vjp(lambda read, state: contribution(read, state, t), floats.read, state)[1](ct_value)
            ct_state, ct_read = _add(ct_state, more), _add(ct_read, more_read)
        before = loop.inverse(state, inverse)
        ct_before, more_step = jax.vjp(step, before, floats.step)[1](ct_state)
        return (before, ct_before, _add(ct_step, more_step), ct_read), None

    zeros = partial(jax.tree.map, jnp.zeros_like)
    xs = (jnp.arange(loop.length), ct_kept if loop.reduce is None else None)
    start = (last, ct_last, zeros(floats.step), zeros(floats.read))
    (_, ct_state, ct_step, ct_read), _ = jax.lax.scan(body, start, xs, reverse=True)
    return _Arrays(ct_step, zeros(floats.inverse), ct_read), ct_state


def _add(a: PyTree, b: PyTree) -> PyTree:
    return jax.tree.map(jnp.add, a, b)


_TANGENT = Linear(_tangent, _backward)
