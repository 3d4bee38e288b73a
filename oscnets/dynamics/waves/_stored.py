"""A run of coupled oscillators whose gradients come from what a run leaves behind anyway: its positions.

The equations are those of `oscnets.dynamics.waves.oscillator_step`, in the inner layout (C, H, W, N). Automatic
differentiation would keep velocities as well; here they are differences of positions, dt v_t = u_t - u_(t-1). Of each
step tanh alone is kept beside the position, since it is what is costly to compute again.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from oscnets._products.stencil import stencil_gradients, stencil_sum
from oscnets.dynamics._reversible import Reader

Params = tuple[Array, Array, Array, Array]  # kernel, omega, damping, dt
State = tuple[Array, Array]  # position, velocity


def advance(params: Params, state: State, *, implicit_damping: bool) -> tuple[State, Array]:
    """One step (equation 9): the state after it, and the pull tanh(W * u) that its neighbours had."""
    (kernel, omega, damping, dt), (position, velocity) = params, state
    pull = jnp.tanh(stencil_sum(position, kernel, boundary="periodic"))
    force = pull - omega * position
    if implicit_damping:
        velocity = (velocity + dt * force) / (1 + dt * damping)
    else:
        velocity = velocity + dt * (force - damping * velocity)
    return (position + dt * velocity, velocity), pull


def stored_run(
    params: Params,
    state: State,
    weights: Any = None,
    *,
    num_steps: int,
    implicit_damping: bool,
    reader: Reader | None = None,
) -> tuple[State, Array]:
    """`num_steps` >= 1 of `advance`: the last state, and the positions after every step, or what a reader made of them.

    Arguments as for `oscnets.dynamics.waves.oscillator_trajectory_chwb`. With a reader, positions are stored for gradients only.
    """
    return _stored_run(_Static(num_steps, implicit_damping, reader), params, weights, state)


class _Static(NamedTuple):
    num_steps: int
    implicit_damping: bool
    reader: Reader | None


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _stored_run(static: _Static, params: Params, weights: Any, state: State) -> tuple[State, Array]:
    return _run(static, params, weights, state, for_gradients=False)[0]


def _run(static: _Static, params: Params, weights: Any, state: State, *, for_gradients: bool):
    reader = static.reader

    def body(carry, t):
        state, acc = carry
        state, pull = advance(params, state, implicit_damping=static.implicit_damping)
        if reader is not None:
            acc = reader.add(weights, acc, state[0], t)
        stored = state[0] if for_gradients or reader is None else None
        return (state, acc), (stored, pull if for_gradients else None)

    start = (state, None if reader is None else reader.start(state[0]))
    (last, acc), (positions, pulls) = lax.scan(body, start, jnp.arange(static.num_steps, dtype=jnp.int32))
    return (last, positions if reader is None else reader.finish(acc)), acc, positions, pulls


def _forward(static, params, weights, state):
    out, *stored = _run(static, params, weights, state, for_gradients=True)
    return out, (params, weights, state, out[0], *stored)


class _Adjoint(NamedTuple):
    """What goes backwards: gradients with respect to things of step t, from position u_t to u_(t+1).

    It is handed from step to step as arrays of its own, so that none of it is computed again for every neighbour.
    """

    position: Array  # u_t
    of_next: Array  # in u_(t+1)
    of_force: Array  # in dt times the force
    of_sum: Array  # in W * u_t


class _Sums(NamedTuple):
    """Over the steps; each is a part of a parameter's gradient."""

    kernel: Array
    position: Array  # of position times `of_force`
    motion: Array  # of dt v times `of_force`; v is after the step where damping is implicit, else before it
    pull: Array  # of pull times `of_force`
    weights: Any  # of the reader's


def _backward(static, residuals, cotangents):
    params, weights, start, last, acc, positions, pulls = residuals
    (kernel, omega, damping, dt), (of_last, of_observed) = params, cotangents
    num_steps, implicit_damping, reader = static
    slowed = 1 + dt * damping if implicit_damping else 1
    kept = 1 if implicit_damping else 1 - dt * damping

    def position_before(t: Array | int) -> Array:
        """u_t, which the positions hold from the first on."""
        return jnp.where(t == 0, start[0], positions[jnp.maximum(t - 1, 0)])

    def enter(t, position, of_next, of_velocity, sums) -> tuple[_Adjoint, _Sums]:
        """From the end of step t to its inside; what was observed at this end still lacks in the gradients."""
        if reader is None:
            of_next += of_observed[t]
        else:
            read = lambda weights, position: reader.contribution(weights, acc, position, t)  # noqa: E731
            of_weights, of_position = jax.vjp(read, weights, position)[1](of_observed)
            of_next += of_position
            sums = sums._replace(weights=jax.tree.map(jnp.add, sums.weights, of_weights))
        pull = pulls[t]
        of_force = (of_velocity + dt * of_next) / slowed
        adjoint = _Adjoint(position_before(t), of_next, of_force, dt * of_force * (1 - pull * pull))
        return adjoint, sums._replace(pull=sums.pull + (pull * of_force).sum())

    def leave(adjoint: _Adjoint, sums: _Sums) -> tuple[Array, Array, _Sums]:
        """From the inside of a step to its beginning: gradients in position and velocity there."""
        of_position, of_kernel = stencil_gradients(adjoint.position, kernel, adjoint.of_sum, boundary="periodic")
        of_position += adjoint.of_next - dt * omega * adjoint.of_force
        sums = sums._replace(
            kernel=sums.kernel + of_kernel, position=sums.position + adjoint.position * adjoint.of_force
        )
        return of_position, kept * adjoint.of_force, sums

    def body(carry, t):
        """From the inside of step t + 1 to that of step t."""
        adjoint, sums = carry
        of_position, of_velocity, sums = leave(adjoint, sums)
        entered, sums = enter(t, adjoint.position, of_position, of_velocity, sums)
        motion = adjoint.position - entered.position
        moved = entered.of_force if implicit_damping else adjoint.of_force
        return (entered, sums._replace(motion=sums.motion + motion * moved)), None

    zero = jnp.zeros_like(start[0])
    sums = _Sums(jnp.zeros_like(kernel), zero, zero, jnp.zeros((), zero.dtype), jax.tree.map(jnp.zeros_like, weights))
    adjoint, sums = enter(num_steps - 1, last[0], *of_last, sums)
    if implicit_damping:
        sums = sums._replace(motion=(last[0] - adjoint.position) * adjoint.of_force)
    (adjoint, sums), _ = lax.scan(body, (adjoint, sums), jnp.arange(num_steps - 1), reverse=True)
    if not implicit_damping:
        sums = sums._replace(motion=sums.motion + dt * start[1] * adjoint.of_force)
    of_position, of_velocity, sums = leave(adjoint, sums)

    of_omega, of_damping = -dt * sums.position, -sums.motion
    # In w = dt v, dt comes with the force (as its square), with alpha, and where v becomes w and w again v.
    of_dt = 2 * sums.pull + (
        (2 * omega * of_omega + damping * of_damping + start[1] * of_velocity - last[1] * of_last[1]).sum() / dt
    )
    of_params = (sums.kernel, _like(of_omega, omega), _like(of_damping, damping), _like(of_dt, dt))
    return of_params, sums.weights, (of_position, of_velocity)


def _like(gradient: Array, x: Array) -> Array:
    """Summed over what x was broadcast along."""
    gradient = gradient.sum(tuple(range(gradient.ndim - x.ndim)))
    axes = tuple(i for i, (n, m) in enumerate(zip(gradient.shape, x.shape, strict=True)) if m == 1 != n)
    return gradient.sum(axes, keepdims=True)


_stored_run.defvjp(_forward, _backward)
