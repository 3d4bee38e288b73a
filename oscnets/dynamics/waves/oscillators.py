"""Coupled oscillators that carry waves across an image: the Neural Wave Machine (Jacobs et al., 2025, equation 9).

The equation, its inverse and the adjoint of a loop of it stand in `_equation`, in the layout (C, H, W, B); the
functions here check and convert their arguments.
"""

from functools import partial
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from jax import Array

from oscnets._inputs import broadcasting, check_dt, floats, standard_promotion, whole_number
from oscnets._products.layout import from_chwb, to_chwb
from oscnets._sharding import WHOLE, batch_sharded
from oscnets.dynamics._scan import Reduction, WeightedReduction, split_reduction
from oscnets.dynamics._unroll import Auto, Checkpoint, Reverse, Store, chosen, unroll
from oscnets.dynamics.waves._equation import (
    Params,
    State,
    Static,
    derivative_chwb,
    oscillator_step_chwb,
    position_of,
    reverse_oscillator_step_chwb,
    stored_run,
)

Gradient = Literal["store", "checkpoint", "reverse", "auto"]


class Trajectory(NamedTuple):
    """A run of coupled oscillators."""

    position: Array  # after the last step
    velocity: Array
    positions: Array  # after every step, time first; or their reduction over time
    inverted: Array | None  # () bool: gradients invert the steps; None unless that was asked for


@standard_promotion
@batch_sharded("position", core=3)
def oscillator_step(
    position: Array,
    velocity: Array,
    kernel: Array,
    omega: Array | float,
    damping: Array | float,
    *,
    dt: Array | float,
    implicit_damping: bool = False,
) -> State:
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
        ValueError: shapes that do not fit together, a kernel of even size, a dt (unless traced) that is not finite
            or <= 0.
    """
    lead, params, state = _to_chwb(position, velocity, kernel, omega, damping, dt)
    after = _compiled_step(params, state, implicit_damping=bool(implicit_damping))
    return tuple(from_chwb(x, lead) for x in after)


@standard_promotion
@batch_sharded("position", core=3)
def oscillator_vector_field(
    position: Array, velocity: Array, kernel: Array, omega: Array | float, damping: Array | float
) -> State:
    """Time derivatives of position and velocity, (v, tanh(W * u) - omega u - alpha v), for any solver (equation 9).

    Args:
        position, velocity, kernel, omega, damping: as for `oscillator_step`.

    Returns:
        The velocity, and its change per unit of time, both (..., H, W, C) of the floating type of all arguments.

    Raises:
        ValueError: as `oscillator_step`, but for the time step.
    """
    lead, params, state = _to_chwb(position, velocity, kernel, omega, damping, 1.0)
    return tuple(from_chwb(x, lead) for x in _compiled_derivative(params, state))


@standard_promotion
@batch_sharded("position", core=3)
def reverse_oscillator_step(
    position: Array,
    velocity: Array,
    kernel: Array,
    omega: Array | float,
    damping: Array | float,
    *,
    dt: Array | float,
    implicit_damping: bool = False,
) -> State:
    """Inverse of `oscillator_step`, up to rounding, which `inverse_gain` amplifies. Arguments and errors as there."""
    lead, params, state = _to_chwb(position, velocity, kernel, omega, damping, dt)
    before = _compiled_reverse_step(params, state, implicit_damping=bool(implicit_damping))
    return tuple(from_chwb(x, lead) for x in before)


@standard_promotion
@batch_sharded("position", core=3, out=Trajectory(0, 0, 1, WHOLE))
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
    gradient: Gradient = "store",
    checkpoint_every: int | None = None,
) -> Trajectory:
    """`num_steps` of `oscillator_step`, faster than a loop of it. Arguments as there.

    Three memory/compute trade-offs for gradients. "store" keeps positions and tanh(W * u) of every step; "checkpoint"
    keeps the state of every `checkpoint_every`-th step (by default of every sqrt(num_steps)-th) and recomputes;
    "reverse" keeps the last state and inverts the steps, where `inverse_gain` allows it (see
    `oscillator_trajectory_chwb`). "auto" is "store" or "checkpoint", by what "store" would take, see
    `oscnets.dynamics.Auto`. `checkpoint_every` alone is shorthand for "checkpoint".

    Returns:
        Trajectory: last position and velocity (..., H, W, C), the positions after every step (num_steps, ..., H, W, C),
        and whether gradients invert the steps.

    Raises:
        ValueError: as `oscillator_step`; num_steps below 1, an unknown gradient, `checkpoint_every` with "reverse".
    """
    lead, params, state = _to_chwb(position, velocity, kernel, omega, damping, dt)
    out = oscillator_trajectory_chwb(
        params,
        state,
        num_steps=num_steps,
        implicit_damping=implicit_damping,
        gradient=gradient,
        checkpoint_every=checkpoint_every,
    )
    return Trajectory(*(from_chwb(x, lead) for x in out[:3]), out.inverted)


@standard_promotion
def inverse_gain(damping: Array | float, *, dt: Array | float, num_steps: int, implicit_damping: bool = False) -> Array:
    """Error amplification of `num_steps` inverse steps: of a rounding error of the velocity, the largest of all units.

    |1 - dt alpha|^-T with explicit damping, |1 + dt alpha|^T with implicit; infinite where dt alpha = 1
    """
    damping, dt = floats(damping=damping, dt=dt)
    rate = jnp.log(jnp.abs(1 + dt * damping)) if implicit_damping else -jnp.log(jnp.abs(1 - dt * damping))
    return jnp.exp(num_steps * jnp.max(rate, initial=-jnp.inf))


# In the layout of the fast paths


_compiled_derivative = jax.jit(derivative_chwb, inline=True)
_compiled_step, _compiled_reverse_step = (
    jax.jit(fn, static_argnames="implicit_damping", inline=True)
    for fn in (oscillator_step_chwb, reverse_oscillator_step_chwb)
)


def oscillator_trajectory_chwb(
    params: Params,
    state: State,
    *,
    num_steps: int,
    implicit_damping: bool = False,
    gradient: Gradient = "store",
    checkpoint_every: int | None = None,
    reduce: Reduction | None = None,
) -> Trajectory:
    """`oscillator_trajectory` in the layout (C, H, W, B), and without stacking positions where `reduce` sums them up.

    With "reverse", gradients invert the steps one by one from the last state while `inverse_gain` times the precision
    of the numbers stays within 1e-5 (float32: a gain of 84, damping * dt * num_steps up to 4.4). Beyond, gradients
    recompute the states instead, from checkpoints every sqrt(num_steps) steps; the result's `inverted` says which.

    Args:
        params, state, implicit_damping: as for `oscillator_step_chwb`.
        num_steps, gradient, checkpoint_every: as for `oscillator_trajectory`.
        reduce: None stacks the positions; else their reduction over time (`oscnets.ops.streaming_readout`).

    Raises:
        ValueError: num_steps below 1, an unknown gradient, `checkpoint_every` with "reverse".
    """
    num_steps, checkpoint_every = _check_run(num_steps, gradient, checkpoint_every)
    static = Static(num_steps, bool(implicit_damping), split_reduction(reduce)[0])
    return _trajectory(static, gradient, checkpoint_every, params, state, reduce.weights if reduce else None)


@partial(jax.jit, static_argnums=(0, 1, 2), inline=True)
@standard_promotion
def _trajectory(static, gradient, checkpoint_every, params, state, weights) -> Trajectory:
    num_steps, implicit_damping, functions = static
    if gradient == "auto":
        stored = 2 * num_steps * state[0].size * state[0].dtype.itemsize
        gradient = "store" if isinstance(chosen(Auto(), lambda: stored), Store) else "checkpoint"
    if gradient == "store" and checkpoint_every is None:
        last, kept = stored_run(static, params, weights, state)
        return Trajectory(*last, kept, None)
    inverted, rule = None, Checkpoint(checkpoint_every)
    if gradient == "reverse":
        gain = inverse_gain(params[2], dt=params[3], num_steps=num_steps, implicit_damping=implicit_damping)
        inverted = gain * jnp.finfo(state[0].dtype).eps <= 1e-5
        rule = Reverse(partial(reverse_oscillator_step_chwb, params, implicit_damping=implicit_damping), inverted)
    step = partial(oscillator_step_chwb, params, implicit_damping=implicit_damping)
    reduce = None if functions is None else WeightedReduction(weights, *functions)
    last, kept = unroll(step, state, num_steps, collect=position_of, reduce=reduce, gradient=rule)
    return Trajectory(*last, kept, inverted)


# Checks


def _check_run(num_steps: int, gradient: str, checkpoint_every: int | None) -> tuple[int, int | None]:
    num_steps = whole_number("num_steps", num_steps, 1)
    if gradient not in get_args(Gradient):
        raise ValueError(f"gradient must be one of {', '.join(get_args(Gradient))}, got {gradient!r}")
    if gradient == "reverse" and checkpoint_every is not None:
        raise ValueError(f"gradient='reverse' takes no checkpoints, got checkpoint_every={checkpoint_every}")
    return num_steps, None if checkpoint_every is None else whole_number("checkpoint_every", checkpoint_every, 1)


def _to_chwb(position, velocity, kernel, omega, damping, dt) -> tuple[tuple[int, ...], Params, State]:
    """Leading axes, parameters and state in the layout (C, H, W, B), checked and of one floating type."""
    position, velocity, kernel = floats(position=position, velocity=velocity, kernel=kernel)
    shape = position.shape
    if position.ndim < 3 or velocity.shape != shape:
        raise ValueError(f"position and velocity must both be (..., H, W, C), got {shape} and {velocity.shape}")
    if kernel.ndim != 4 or kernel.shape[2:] != (shape[-1],) * 2:
        raise ValueError(f"kernel must be (kh, kw, C, C) for a position (..., H, W, C), got {kernel.shape} and {shape}")
    units = [
        value if value.ndim == 0 else to_chwb(jnp.broadcast_to(value, shape))
        for value in broadcasting(shape, "position", position.dtype, omega=omega, damping=damping)
    ]
    (dt,) = broadcasting((), "", position.dtype, dt=dt)
    check_dt(dt)
    params = (kernel, *units, dt)
    return shape[:-3], params, (to_chwb(position), to_chwb(velocity))
