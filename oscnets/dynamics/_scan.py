"""The scan over time under `unroll` and the adjoints: what it stacks, sums up and stores."""

import math
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jax import Array

PyTree = Any


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
    (state, acc), stacked = checkpointed_scan(body, start, times, length, every)
    return state, acc, stacked


def checkpointed_scan(body: Callable, carry: PyTree, times: Array | None, length: int, every: int | None):
    """`jax.lax.scan` that stores the carry of every so many steps, and recomputes what lies between for gradients."""
    if every is None or every >= length:
        return jax.lax.scan(body, carry, times, length)
    blocks, rest = divmod(length, every)
    part = lambda start, end: None if times is None else times[start:end]  # noqa: E731
    block = body.block(every) if isinstance(body, Body) else _block(body, every)
    whole = None if times is None else part(0, blocks * every).reshape(blocks, every)
    carry, stacked = jax.lax.scan(block, carry, whole, blocks)
    stacked = jax.tree.map(lambda x: x.reshape(blocks * every, *x.shape[2:]), stacked)
    if rest:
        carry, tail = jax.lax.scan(body, carry, part(blocks * every, length), rest)
        stacked = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), stacked, tail)
    return carry, stacked


def _block(body: Callable, every: int) -> Callable:
    return jax.checkpoint(lambda carry, times: jax.lax.scan(body, carry, times, every), prevent_cse=False)


def checkpoint_interval(length: int, every: int | None) -> int:
    """Steps between two stored states."""
    return math.isqrt(max(length, 1) - 1) + 1 if every is None else every


class Body:
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


def scan_body(step: Callable, collect: Callable | None) -> Body:
    collect = _nothing if collect is None else collect
    try:
        of_step = _BODIES.setdefault(step, weakref.WeakKeyDictionary())
        return of_step.setdefault(collect, Body(weakref.ref(step), weakref.ref(collect)))
    except TypeError:  # of a kind that has no hash or takes no weak references
        return Body(lambda: step, lambda: collect)
