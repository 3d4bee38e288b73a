"""Coupled oscillators that carry waves across an image: the Neural Wave Machine (Jacobs et al., 2025, equation 9).

The equation, its inverse and the adjoint of a loop of it stand here together, in the layout (C, H, W, B); the public
functions wrap them for (..., H, W, C).
"""

from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from jax import Array, lax

from oscnets._inputs import floats, standard_promotion
from oscnets._products.layout import from_chwb, to_chwb
from oscnets._products.linear import Linear, linear_map
from oscnets._products.stencil import stencil_gradients, stencil_sum
from oscnets.dynamics._unroll import (
    Checkpoint,
    Reduction,
    ReductionFunctions,
    Reverse,
    WeightedReduction,
    run_steps,
    split_reduction,
    unroll,
)
from oscnets.dynamics.waves._checks import as_floats, check_broadcast, check_dt

Params = tuple[Array, Array, Array, Array]  # kernel, omega, damping, dt
State = tuple[Array, Array]  # position, velocity
Gradient = Literal["store", "checkpoint", "reverse"]


class Trajectory(NamedTuple):
    """A run of coupled oscillators."""

    position: Array  # after the last step
    velocity: Array
    positions: Array  # after every step, time first; or their reduction over time
    inverted: Array | None  # () bool: gradients invert the steps; None unless that was asked for


@standard_promotion
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
    `oscillator_trajectory_chwb`). `checkpoint_every` alone is shorthand for "checkpoint".

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
    return jnp.exp(num_steps * jnp.max(rate))


# In the layout of the fast paths


def oscillator_step_chwb(params: Params, state: State, *, implicit_damping: bool) -> State:
    """Equation 9 in the layout (C, H, W, B).

    Args:
        params: kernel (kh, kw, C, C); omega and damping, broadcasting to the position; dt.
        state: position and velocity, (C, H, W, B).
        implicit_damping: as for `oscillator_step`.
    """
    return _step(params, state, implicit_damping=implicit_damping)[0]


def _step(params: Params, state: State, *, implicit_damping: bool) -> tuple[State, Array]:
    """Equation 9: the state after the step, and the coupling tanh(W * u) that it used."""
    (kernel, omega, damping, dt), (position, velocity) = params, state
    coupling = jnp.tanh(stencil_sum(position, kernel, boundary="periodic"))
    force = coupling - omega * position
    if implicit_damping:
        velocity = (velocity + dt * force) / (1 + dt * damping)
    else:
        velocity = velocity + dt * (force - damping * velocity)
    return (position + dt * velocity, velocity), coupling


def reverse_oscillator_step_chwb(params: Params, state: State, *, implicit_damping: bool) -> State:
    """Inverse of `oscillator_step_chwb`, up to rounding."""
    (kernel, omega, damping, dt), (position, velocity) = params, state
    position = position - dt * velocity
    force = jnp.tanh(stencil_sum(position, kernel, boundary="periodic")) - omega * position
    if implicit_damping:
        return position, (1 + dt * damping) * velocity - dt * force
    return position, (velocity - dt * force) / (1 - dt * damping)


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
    _check_run(num_steps, gradient, checkpoint_every)
    static = _Static(num_steps, bool(implicit_damping), split_reduction(reduce)[0])
    return _trajectory(static, gradient, checkpoint_every, params, state, reduce.weights if reduce else None)


@partial(jax.jit, static_argnums=(0, 1, 2), inline=True)
@standard_promotion
def _trajectory(static, gradient, checkpoint_every, params, state, weights) -> Trajectory:
    num_steps, implicit_damping, functions = static
    if gradient == "store" and checkpoint_every is None:
        last, kept = _stored_run(static, params, weights, state)
        return Trajectory(*last, kept, None)
    inverted, rule = None, Checkpoint(checkpoint_every)
    if gradient == "reverse":
        gain = inverse_gain(params[2], dt=params[3], num_steps=num_steps, implicit_damping=implicit_damping)
        inverted = gain * jnp.finfo(state[0].dtype).eps <= 1e-5
        rule = Reverse(partial(reverse_oscillator_step_chwb, params, implicit_damping=implicit_damping), inverted)
    step = partial(oscillator_step_chwb, params, implicit_damping=implicit_damping)
    reduce = None if functions is None else WeightedReduction(weights, *functions)
    last, kept = unroll(step, state, num_steps, collect=_position, reduce=reduce, gradient=rule)
    return Trajectory(*last, kept, inverted)


def _position(state: State) -> Array:
    return state[0]


# Adjoint of the oscillator loop: stores positions and tanh(W * u) only
#
# Automatic differentiation would store velocities as well; here they are differences of positions,
# dt v_t = u_t - u_(t-1). Of each step tanh alone is stored beside the position, since it is costly to compute again.


class _Static(NamedTuple):
    """Static arguments of the loop."""

    num_steps: int
    implicit_damping: bool
    reduce: ReductionFunctions | None


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _stored_run(static: _Static, params: Params, weights: Any, state: State) -> tuple[State, Array]:
    """Last state, and the positions after every step or their reduction (with `weights`)."""
    return _run(static, params, weights, state, for_gradients=False)[0]


@partial(_stored_run.defjvp, symbolic_zeros=True)
def _stored_run_jvp(static, primals, tangents):
    out, *stored = _run(static, *primals, for_gradients=True)
    return out, linear_map(_TANGENT, static, (*primals, out[0], *stored), tangents)


def _tangent(static, residuals, tangents):
    primals = residuals[:3]
    zeros = partial(jax.tree.map, jnp.zeros_like)
    tangents = tuple(zeros(x) if dx is None else dx for x, dx in zip(primals, tangents, strict=True))
    return jax.jvp(lambda *primals: _run(static, *primals, for_gradients=False)[0], primals, tangents)[1]


def _run(static: _Static, params: Params, weights: Any, state: State, *, for_gradients: bool):
    num_steps, implicit_damping, reduce = static
    keep = None
    if for_gradients:
        keep = lambda state, coupling: (state[0], coupling)  # noqa: E731
    elif reduce is None:
        keep = lambda state, _: (state[0], None)  # noqa: E731
    step = partial(_step, params, implicit_damping=implicit_damping)
    options = {"keep": keep, "reduce": reduce, "weights": weights, "observe": _position}
    last, acc, stacked = run_steps(step, state, num_steps, **options)
    positions, couplings = (None, None) if stacked is None else stacked
    return (last, positions if reduce is None else reduce.finish(acc)), acc, positions, couplings


class _Cotangents(NamedTuple):
    """What goes backwards inside step t, from position u_t to u_(t+1): u_t, and cotangents `ct_x` of x.

    They pass from step to step as separate arrays, so that none is computed again for every neighbour.
    """

    position: Array  # u_t
    ct_next: Array  # x = u_(t+1)
    ct_force: Array  # x = dt times the force
    ct_sum: Array  # x = W * u_t


class _Sums(NamedTuple):
    """Sums over the steps; each is a part of a parameter's gradient."""

    kernel: Array
    position: Array  # of position times `ct_force`
    motion: Array  # of dt v times `ct_force`; v is after the step where damping is implicit, else before it
    coupling: Array  # of tanh(W * u) times `ct_force`
    weights: Any  # of the reduction's


def _backward(static, residuals, cotangents):
    params, weights, start, last, acc, positions, couplings = residuals
    (kernel, omega, damping, dt), (ct_last, ct_kept) = params, cotangents
    num_steps, implicit_damping, reduce = static
    divisor = 1 + dt * damping if implicit_damping else 1
    decay = 1 if implicit_damping else 1 - dt * damping

    def position_before(t: Array | int) -> Array:
        """u_t, which the positions hold from the first step on."""
        return jnp.where(t == 0, start[0], positions[jnp.maximum(t - 1, 0)])

    def backprop_output(t, position, ct_next, ct_velocity, sums) -> tuple[_Cotangents, _Sums]:
        """From the end of step t to its inside; adds the cotangent of what was kept at this end."""
        if reduce is None:
            ct_next += ct_kept[t]
        else:
            contribution = lambda weights, position: reduce.contribution(weights, acc, position, t)  # noqa: E731
            ct_weights, ct_position = jax.vjp(contribution, weights, position)[1](ct_kept)
            ct_next += ct_position
            sums = sums._replace(weights=jax.tree.map(jnp.add, sums.weights, ct_weights))
        coupling = couplings[t]
        ct_force = (ct_velocity + dt * ct_next) / divisor
        inside = _Cotangents(position_before(t), ct_next, ct_force, dt * ct_force * (1 - coupling * coupling))
        return inside, sums._replace(coupling=sums.coupling + (coupling * ct_force).sum())

    def backprop_input(inside: _Cotangents, sums: _Sums) -> tuple[Array, Array, _Sums]:
        """From the inside of a step to its beginning: cotangents of position and velocity there."""
        ct_position, ct_kernel = stencil_gradients(inside.position, kernel, inside.ct_sum, boundary="periodic")
        ct_position += inside.ct_next - dt * omega * inside.ct_force
        sums = sums._replace(kernel=sums.kernel + ct_kernel, position=sums.position + inside.position * inside.ct_force)
        return ct_position, decay * inside.ct_force, sums

    def body(carry, t):
        """From the inside of step t + 1 to that of step t."""
        inside, sums = carry
        ct_position, ct_velocity, sums = backprop_input(inside, sums)
        before, sums = backprop_output(t, inside.position, ct_position, ct_velocity, sums)
        motion = inside.position - before.position
        ct_force = before.ct_force if implicit_damping else inside.ct_force
        return (before, sums._replace(motion=sums.motion + motion * ct_force)), None

    zero = jnp.zeros_like(start[0])
    sums = _Sums(jnp.zeros_like(kernel), zero, zero, jnp.zeros((), zero.dtype), jax.tree.map(jnp.zeros_like, weights))
    inside, sums = backprop_output(num_steps - 1, last[0], *ct_last, sums)
    if implicit_damping:
        sums = sums._replace(motion=(last[0] - inside.position) * inside.ct_force)
    (inside, sums), _ = lax.scan(body, (inside, sums), jnp.arange(num_steps - 1), reverse=True)
    if not implicit_damping:
        sums = sums._replace(motion=sums.motion + dt * start[1] * inside.ct_force)
    ct_position, ct_velocity, sums = backprop_input(inside, sums)

    ct_omega, ct_damping = -dt * sums.position, -sums.motion
    # In w = dt v, dt comes with the force (as its square), with alpha, and where v becomes w and w again v.
    ct_dt = 2 * sums.coupling + (
        (2 * omega * ct_omega + damping * ct_damping + start[1] * ct_velocity - last[1] * ct_last[1]).sum() / dt
    )
    ct_params = (sums.kernel, _like(ct_omega, omega), _like(ct_damping, damping), _like(ct_dt, dt))
    return ct_params, sums.weights, (ct_position, ct_velocity)


def _like(gradient: Array, x: Array) -> Array:
    """Summed over the axes that x was broadcast along."""
    gradient = gradient.sum(tuple(range(gradient.ndim - x.ndim)))
    axes = tuple(i for i, (n, m) in enumerate(zip(gradient.shape, x.shape, strict=True)) if m == 1 != n)
    return gradient.sum(axes, keepdims=True)


_TANGENT = Linear(_tangent, _backward)


# Checks


def _check_run(num_steps: int, gradient: str, checkpoint_every: int | None) -> None:
    if num_steps < 1:
        raise ValueError(f"num_steps must be >= 1, got {num_steps}")
    if gradient not in get_args(Gradient):
        raise ValueError(f"gradient must be one of {', '.join(get_args(Gradient))}, got {gradient!r}")
    if gradient == "reverse" and checkpoint_every is not None:
        raise ValueError(f"gradient='reverse' takes no checkpoints, got checkpoint_every={checkpoint_every}")


def _to_chwb(position, velocity, kernel, omega, damping, dt) -> tuple[tuple[int, ...], Params, State]:
    """Leading axes, parameters and state in the layout (C, H, W, B), checked and of one floating type."""
    check_dt(dt)
    position, velocity, kernel = as_floats(position, velocity, kernel)
    shape = position.shape
    if position.ndim < 3 or velocity.shape != shape:
        raise ValueError(f"position and velocity must both be (..., H, W, C), got {shape} and {velocity.shape}")
    if kernel.ndim != 4 or kernel.shape[2:] != (shape[-1],) * 2:
        raise ValueError(f"kernel must be (kh, kw, C, C) for a position (..., H, W, C), got {kernel.shape} and {shape}")
    units = []
    for name, value in (("omega", omega), ("damping", damping)):
        check_broadcast(name, jnp.shape(value), shape)
        value = jnp.asarray(value, position.dtype)
        units.append(value if value.ndim == 0 else to_chwb(jnp.broadcast_to(value, shape)))
    params = (kernel, *units, jnp.asarray(dt, position.dtype))
    return shape[:-3], params, (to_chwb(position), to_chwb(velocity))
