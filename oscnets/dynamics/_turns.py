"""Loops over time whose phases are wrapped at every step and whose full turns are counted: frequencies are kept."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from oscnets._inputs import whole_number
from oscnets.dynamics._unroll import unroll
from oscnets.phase import bounded_wrap, wrap

PyTree = Any
Step = Callable[[Array, PyTree], tuple[Array, PyTree]]


def steps(num_steps: int, every: int) -> dict[str, int]:
    """Both numbers, checked; ValueError where the first is no multiple of the second."""
    num_steps, every = whole_number("num_steps", num_steps), whole_number("every", every, 1)
    if num_steps % every:
        raise ValueError(f"num_steps must be a multiple of every={every}, got {num_steps}")
    return {"num_steps": num_steps, "every": every}


def trajectory(
    step: Step, phases: Array, rest: PyTree, *, num_steps: int, every: int = 1, keep: Callable | None = None
) -> tuple[Array, PyTree]:
    """`counting_turns` from phases of any size, which they continue."""
    start = wrap(phases)
    run, kept = counting_turns(step, start, rest, num_steps=num_steps, every=every, keep=keep)
    return from_start(phases, start, run), kept


def counting_turns(
    step: Step, phases: Array, rest: PyTree, *, num_steps: int, every: int = 1, keep: Callable | None = None
) -> tuple[Array, PyTree]:
    """Phases, never wrapped, and `keep(rest)` after every so many steps.

    Args:
        step: from phases and the rest of the state to both after the step.
        phases: radians, within 2.5e4.
        rest: of the state, a pytree.
        num_steps, every: by `steps`.
        keep: None keeps nothing.
    """

    def counting(state: tuple[Array, Array, PyTree]) -> tuple[Array, Array, PyTree]:
        phases, turns, rest = state
        phases, rest = step(phases, rest)
        phases, more = bounded_wrap(phases)
        return phases, turns + more, rest

    many = counting if every == 1 else lambda state: unroll(counting, state, every)[0]
    kept = lambda state: (state[0] + 2 * jnp.pi * state[1], keep and keep(state[2]))  # noqa: E731
    return unroll(many, (phases, jnp.zeros_like(phases), rest), num_steps // every, collect=kept)[1]


def from_start(phases: Array, wrapped: Array, stacked: Array) -> Array:
    """Phases of a run that began at `wrapped`, as if it had begun at `phases`, the same but for full turns."""
    phases, wrapped = lax.stop_gradient((phases, wrapped))
    return phases + (stacked - wrapped)
