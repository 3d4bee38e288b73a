"""Loop over time: what is kept of the states and how gradients are taken are two separate choices.

`collect` stacks a value of every step, `reduce` sums these values up as they come. `gradient` is `Store`, `Checkpoint`,
`Reverse` or `Auto`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
from jax import Array

from oscnets._inputs import whole_number
from oscnets.dynamics._memory import default_limit
from oscnets.dynamics._reverse import unroll_reversible
from oscnets.dynamics._scan import (
    Reduction,
    checkpoint_interval,
    checkpointed_scan,
    run_steps,
    scan_body,
    split_reduction,
)

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


@dataclass(frozen=True)
class Auto:
    """`Store()` where what it stores is small enough, else `Checkpoint()`; decided by the shapes, when it is traced.

    What a step stores is taken from its derivative. Under `jax.vmap` the shapes are those of one member.

    Attributes:
        limit: bytes, >= 0; None is a quarter of what JAX may use of the device's memory, on a CPU of half of the
            machine's.
    """

    limit: int | None = None


def unroll(
    step: Callable[[PyTree], PyTree],
    state: PyTree,
    length: int,
    *,
    collect: Callable[[PyTree], PyTree] | None = None,
    reduce: Reduction | None = None,
    gradient: Store | Checkpoint | Reverse | Auto | None = None,
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
    length = whole_number("length", length, least)
    if reduce is not None and collect is None:
        raise ValueError("reduce needs collect, which gives it a value of every step, got collect=None")
    if isinstance(gradient, Auto):
        gradient = chosen(gradient, lambda: length * _stored_by(step, state))
    if isinstance(gradient, Reverse):
        return unroll_reversible(step, state, length, collect, reduce, gradient.inverse, gradient.invertible)
    every = checkpoint_interval(length, gradient.every) if isinstance(gradient, Checkpoint) else None
    if reduce is None:
        return checkpointed_scan(scan_body(step, collect), state, None, length, every)
    without_aux = lambda state: (step(state), None)  # noqa: E731
    functions, weights = split_reduction(reduce)
    options = {"reduce": functions, "weights": weights, "observe": collect, "every": every}
    last, acc, _ = run_steps(without_aux, state, length, **options)
    return last, reduce.finish(acc)


def chosen(auto: Auto, stored: Callable[[], int]) -> Store | Checkpoint:
    """What `Auto` stands for where `Store` would store so many bytes."""
    limit = default_limit() if auto.limit is None else auto.limit
    return Store() if stored() <= limit else Checkpoint()


def _stored_by(step: Callable[[PyTree], PyTree], state: PyTree) -> int:
    """Bytes that automatic differentiation stores of one step, those of the arrays that it closes over included."""
    stored = jax.eval_shape(lambda state: jax.vjp(step, state)[1], state)
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(stored))


def _gradient(
    gradient: Store | Checkpoint | Reverse | Auto | None, checkpoint_every: int | None
) -> Store | Checkpoint | Reverse | Auto:
    if checkpoint_every is not None:
        if gradient is not None:
            raise ValueError(f"give gradient or checkpoint_every, got {gradient} and {checkpoint_every}")
        gradient = Checkpoint(checkpoint_every)
    if gradient is None:
        return Store()
    if not isinstance(gradient, Store | Checkpoint | Reverse | Auto):
        raise ValueError(f"gradient must be a Store, Checkpoint, Reverse or Auto, got {gradient!r}")
    if isinstance(gradient, Checkpoint) and gradient.every is not None:
        return Checkpoint(whole_number("checkpoint_every", gradient.every, 1))
    return gradient
