"""Equation 9 and its inverse, in the layout (C, H, W, B), and a loop of it with an adjoint of its own."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from oscnets._inputs import standard_promotion
from oscnets._products.linear import Linear, linear_map
from oscnets._products.stencil import stencil_gradients, stencil_sum
from oscnets.dynamics._scan import ReductionFunctions, run_steps

Params = tuple[Array, Array, Array, Array]  # kernel, omega, damping, dt
State = tuple[Array, Array]  # position, velocity


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
    coupling, force = _force(kernel, omega, position)
    if implicit_damping:
        velocity = (velocity + dt * force) / (1 + dt * damping)
    else:
        velocity = velocity + dt * (force - damping * velocity)
    return (position + dt * velocity, velocity), coupling


def _force(kernel: Array, omega: Array, position: Array) -> State:
    """The coupling tanh(W * u), and the force without damping."""
    coupling = jnp.tanh(stencil_sum(position, kernel, boundary="periodic"))
    return coupling, coupling - omega * position


def derivative_chwb(params: Params, state: State) -> State:
    """Time derivatives of position and velocity."""
    (kernel, omega, damping, _), (position, velocity) = params, state
    return velocity, _force(kernel, omega, position)[1] - damping * velocity


def reverse_oscillator_step_chwb(params: Params, state: State, *, implicit_damping: bool) -> State:
    """Inverse of `oscillator_step_chwb`, up to rounding."""
    (kernel, omega, damping, dt), (position, velocity) = params, state
    position = position - dt * velocity
    _, force = _force(kernel, omega, position)
    if implicit_damping:
        return position, (1 + dt * damping) * velocity - dt * force
    return position, (velocity - dt * force) / (1 - dt * damping)


def position_of(state: State) -> Array:
    """The position of a state."""
    return state[0]


# Adjoint of the oscillator loop: stores positions and tanh(W * u) only
#
# Automatic differentiation would store velocities as well; here they are differences of positions,
# dt v_t = u_t - u_(t-1). Of each step tanh alone is stored beside the position, since it is costly to compute again.


class Static(NamedTuple):
    """Static arguments of the loop."""

    num_steps: int
    implicit_damping: bool
    reduce: ReductionFunctions | None


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def stored_run(static: Static, params: Params, weights: Any, state: State) -> tuple[State, Array]:
    """Last state, and the positions after every step or their reduction (with `weights`)."""
    return _run(static, params, weights, state, for_gradients=False)[0]


@partial(stored_run.defjvp, symbolic_zeros=True)
@standard_promotion
def stored_run_jvp(static, primals, tangents):
    out, *stored = _run(static, *primals, for_gradients=True)
    return out, linear_map(_TANGENT, static, (*primals, out[0], *stored), tangents)


def _tangent(static, residuals, tangents):
    primals = residuals[:3]
    zeros = partial(jax.tree.map, jnp.zeros_like)
    tangents = tuple(zeros(x) if dx is None else dx for x, dx in zip(primals, tangents, strict=True))
    return jax.jvp(lambda *primals: _run(static, *primals, for_gradients=False)[0], primals, tangents)[1]


def _run(static: Static, params: Params, weights: Any, state: State, *, for_gradients: bool):
    num_steps, implicit_damping, reduce = static
    keep = None
    if for_gradients:
        keep = lambda state, coupling: (state[0], coupling)  # noqa: E731
    elif reduce is None:
        keep = lambda state, _: (state[0], None)  # noqa: E731
    step = partial(_step, params, implicit_damping=implicit_damping)
    options = {"keep": keep, "reduce": reduce, "weights": weights, "observe": position_of}
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
            ct_weights, ctposition_of = jax.vjp(contribution, weights, position)[1](ct_kept)
            ct_next += ctposition_of
            sums = sums._replace(weights=jax.tree.map(jnp.add, sums.weights, ct_weights))
        coupling = couplings[t]
        ct_force = (ct_velocity + dt * ct_next) / divisor
        inside = _Cotangents(position_before(t), ct_next, ct_force, dt * ct_force * (1 - coupling * coupling))
        return inside, sums._replace(coupling=sums.coupling + (coupling * ct_force).sum())

    def backprop_input(inside: _Cotangents, sums: _Sums) -> tuple[Array, Array, _Sums]:
        """From the inside of a step to its beginning: cotangents of position and velocity there."""
        ctposition_of, ct_kernel = stencil_gradients(inside.position, kernel, inside.ct_sum, boundary="periodic")
        ctposition_of += inside.ct_next - dt * omega * inside.ct_force
        sums = sums._replace(kernel=sums.kernel + ct_kernel, position=sums.position + inside.position * inside.ct_force)
        return ctposition_of, decay * inside.ct_force, sums

    def body(carry, t):
        """From the inside of step t + 1 to that of step t."""
        inside, sums = carry
        ctposition_of, ct_velocity, sums = backprop_input(inside, sums)
        before, sums = backprop_output(t, inside.position, ctposition_of, ct_velocity, sums)
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
    ctposition_of, ct_velocity, sums = backprop_input(inside, sums)

    ct_omega, ct_damping = -dt * sums.position, -sums.motion
    # In w = dt v, dt comes with the force (as its square), with alpha, and where v becomes w and w again v.
    ct_dt = 2 * sums.coupling + (
        (2 * omega * ct_omega + damping * ct_damping + start[1] * ct_velocity - last[1] * ct_last[1]).sum() / dt
    )
    ct_params = (sums.kernel, _like(ct_omega, omega), _like(ct_damping, damping), _like(ct_dt, dt))
    return ct_params, sums.weights, (ctposition_of, ct_velocity)


def _like(gradient: Array, x: Array) -> Array:
    """Summed over the axes that x was broadcast along."""
    gradient = gradient.sum(tuple(range(gradient.ndim - x.ndim)))
    axes = tuple(i for i, (n, m) in enumerate(zip(gradient.shape, x.shape, strict=True)) if m == 1 != n)
    return gradient.sum(axes, keepdims=True)


_TANGENT = Linear(_tangent, _backward)
