"""Coupled oscillators that carry waves across an image: the Neural Wave Machine (Jacobs et al., 2025, equation 9)."""

import operator
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from oscnets._products.layout import from_chwb, to_chwb
from oscnets._products.stencil import stencil_sum
from oscnets.dynamics._reversible import Plan, Reader, unroll_read, unroll_reversible
from oscnets.dynamics.waves._checks import as_floats, check_broadcast, check_dt
from oscnets.dynamics.waves._stored import Params, advance, stored_run


class Trajectory(NamedTuple):
    """A run of coupled oscillators."""

    position: Array  # after the last step
    velocity: Array
    positions: Array  # after every step, time first; or what a reader made of them
    inverted: Array | None  # () bool: gradients undo the steps; None unless that was asked for


def oscillator_step(
    position: Array,
    velocity: Array,
    kernel: Array,
    omega: Array | float,
    damping: Array | float,
    *,
    dt: Array | float,
    implicit_damping: bool = False,
) -> tuple[Array, Array]:
    """One symplectic step of locally coupled, damped oscillators: the Neural Wave Machine (equation 9).

        v += dt ( tanh(W * u) - omega u - alpha v ),   u += dt v

    Args:
        position, velocity: u and v, (..., H, W, C).
        kernel: W, (kh, kw, C, C) with odd sizes; cross-correlated, periodic at the edges.
        omega: squared natural frequencies, scalar or broadcasting to `position`.
        damping: alpha, scalar or broadcasting to `position`. Explicit damping is stable for dt alpha < 2 only.
        dt: the time step.
        implicit_damping: v = (v + dt (tanh(W * u) - omega u)) / (1 + dt alpha), stable for every alpha >= 0.

    Returns:
        Position and velocity after the step.

    Raises:
        ValueError: shapes that do not fit together, a kernel of even size, a known dt that is not finite or <= 0.
    """
    lead, params, state = _to_chwb(position, velocity, kernel, omega, damping, dt)
    return tuple(from_chwb(x, lead) for x in oscillator_step_chwb(params, state, implicit_damping=implicit_damping))


def reverse_oscillator_step(
    position: Array,
    velocity: Array,
    kernel: Array,
    omega: Array | float,
    damping: Array | float,
    *,
    dt: Array | float,
    implicit_damping: bool = False,
) -> tuple[Array, Array]:
    """What `oscillator_step` came from, to rounding, where that is well conditioned (`inverse_gain`)."""
    lead, params, state = _to_chwb(position, velocity, kernel, omega, damping, dt)
    return tuple(
        from_chwb(x, lead) for x in reverse_oscillator_step_chwb(params, state, implicit_damping=implicit_damping)
    )


def oscillator_trajectory(
    position: Array,
    velocity: Array,
    kernel: Array,
    omega: Array | float,
    damping: Array | float,
    *,
    dt: Array | float,
    num_steps: int,
    implicit_damping: bool = False,
    checkpoint_every: int | None = None,
    reversible: bool = False,
) -> Trajectory:
    """`num_steps` of `oscillator_step`, faster than a loop of it. Arguments as there.

    Three memories for gradients: by default all states and what led to them are stored; `checkpoint_every` stores every
    so many states and recomputes; `reversible` stores the last one and undoes the steps, where `inverse_gain` allows it
    (see `oscillator_trajectory_chwb`).

    Returns:
        Trajectory: last position and velocity (..., H, W, C), the positions after every step (num_steps, ..., H, W, C),
        and whether gradients undo the steps.
    """
    lead, params, state = _to_chwb(position, velocity, kernel, omega, damping, dt)
    out = oscillator_trajectory_chwb(
        params,
        state,
        num_steps=num_steps,
        implicit_damping=implicit_damping,
        checkpoint_every=checkpoint_every,
        reversible=reversible,
    )
    return Trajectory(*(from_chwb(x, lead) for x in out[:3]), out.inverted)


def oscillator_step_chwb(params: Params, state: tuple[Array, Array], *, implicit_damping: bool) -> tuple[Array, Array]:
    """`oscillator_step` in the inner layout (C, H, W, N)."""
    return advance(params, state, implicit_damping=implicit_damping)[0]


def reverse_oscillator_step_chwb(
    params: Params, state: tuple[Array, Array], *, implicit_damping: bool
) -> tuple[Array, Array]:
    """What `oscillator_step_chwb` came from."""
    (kernel, omega, damping, dt), (position, velocity) = params, state
    position = position - dt * velocity
    force = jnp.tanh(stencil_sum(position, kernel, boundary="periodic")) - omega * position
    if implicit_damping:
        return position, (1 + dt * damping) * velocity - dt * force
    return position, (velocity - dt * force) / (1 - dt * damping)


def inverse_gain(damping: Array | float, *, dt: Array | float, num_steps: int, implicit_damping: bool = False) -> Array:
    """By how much undoing `num_steps` steps magnifies a rounding error of the velocity: the largest over all units.

    |1 - dt alpha|^-T with explicit damping, |1 + dt alpha|^T with implicit; infinite where dt alpha = 1
    """
    rate = jnp.log(jnp.abs(1 + dt * damping)) if implicit_damping else -jnp.log(jnp.abs(1 - dt * damping))
    return jnp.exp(num_steps * jnp.max(rate))


def oscillator_trajectory_chwb(
    params: Params,
    state: tuple[Array, Array],
    *,
    num_steps: int,
    implicit_damping: bool = False,
    checkpoint_every: int | None = None,
    reversible: bool = False,
    reader: Reader | None = None,
    weights: Any = None,
) -> Trajectory:
    """`oscillator_trajectory` in the inner layout, and without storing positions where a reader sums them up.

    With `reversible`, gradients undo the steps one by one from the last state while `inverse_gain` times the precision
    of the numbers stays within 1e-5 (float32: a gain of 84, damping * dt * num_steps up to 4.4). Beyond, gradients
    recompute the states instead, from checkpoints every sqrt(num_steps) steps; the result's `inverted` says which.

    Args:
        params: kernel (kh, kw, C, C); omega and damping, broadcasting to the position; dt.
        state: position and velocity, (C, H, W, N).
        num_steps, implicit_damping: as for `oscillator_trajectory`.
        checkpoint_every, reversible: likewise; not both.
        reader: None stacks the positions; else what sums them up as they come (`oscnets.ops.streaming_readout`).
        weights: of the reader.

    Raises:
        ValueError: num_steps below 1, or both `checkpoint_every` and `reversible`.
    """
    if num_steps < 1:
        raise ValueError(f"num_steps must be >= 1, got {num_steps}")
    if reversible and checkpoint_every is not None:
        raise ValueError(f"gradients are either reversible or checkpointed, got checkpoint_every={checkpoint_every}")
    step, invert = (
        partial(fn, implicit_damping=implicit_damping) for fn in (oscillator_step_chwb, reverse_oscillator_step_chwb)
    )
    plan = Plan(step, invert, operator.itemgetter(0), num_steps, reader)
    if not reversible:
        if checkpoint_every is None:
            options = {"num_steps": num_steps, "implicit_damping": implicit_damping, "reader": reader}
            last, observed = stored_run(params, state, weights, **options)
        else:
            last, observed = unroll_read(plan, params, state, weights, checkpoint_every=checkpoint_every)
        return Trajectory(*last, observed, None)
    _, _, damping, dt = params
    gain = inverse_gain(damping, dt=dt, num_steps=num_steps, implicit_damping=implicit_damping)
    inverted = gain * jnp.finfo(state[0].dtype).eps <= 1e-5
    last, observed = unroll_reversible(plan, params, state, weights, invertible=inverted)
    return Trajectory(*last, observed, inverted)


def _to_chwb(position, velocity, kernel, omega, damping, dt) -> tuple[tuple[int, ...], Params, tuple[Array, Array]]:
    check_dt(dt)
    position, velocity, kernel = as_floats(position, velocity, kernel)
    shape = position.shape
    if position.ndim < 3 or velocity.shape != shape:
        raise ValueError(f"position and velocity must both be (..., H, W, C), got {shape} and {velocity.shape}")
    if kernel.ndim != 4 or kernel.shape[2:] != (shape[-1],) * 2:
        raise ValueError(f"kernel must be (kh, kw, C, C) for a position (..., H, W, C), got {kernel.shape} and {shape}")
    given = []
    for name, value in (("omega", omega), ("damping", damping)):
        check_broadcast(name, jnp.shape(value), shape)
        value = jnp.asarray(value, position.dtype)
        given.append(value if value.ndim == 0 else to_chwb(jnp.broadcast_to(value, shape)))
    params = (kernel, *given, jnp.asarray(dt, position.dtype))
    return shape[:-3], params, (to_chwb(position), to_chwb(velocity))
