"""Waves: the membrane of a drum, and coupled oscillators that carry waves across an image.

State is a position u and a velocity v. Steps are symplectic: the velocity moves first, the position follows with the
new velocity, so that energy stays bounded and a step can be undone. Equation numbers are those of Jacobs, Budzinski,
Muller, Ba and Keller (2025).
"""

import math
import operator
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from oscnets.dynamics.reversible import Plan, Reader, unroll_read, unroll_reversible
from oscnets.dynamics.stencil import Boundary, check_boundary, from_inner, stencil_sum, to_inner
from oscnets.dynamics.stored import Params, advance, stored_run

# The membrane


def largest_dt(speed: float) -> float:
    """The largest stable time step h / (c sqrt 2) of `wave_step`, grid spacing h = 1, speed c in pixels a unit of time.

    The Laplacian's eigenvalues lie within [-8 / h^2, 0], and a symplectic step is stable while dt^2 c^2 times the
    largest is at most 4. Infinite for a speed of 0.
    """
    return math.inf if speed == 0 else 1 / (abs(speed) * math.sqrt(2))


def wave_step(
    position: Array,
    velocity: Array,
    *,
    speed: Array | float,
    dt: float,
    mask: Array | None = None,
    boundary: Boundary = "clamped",
) -> tuple[Array, Array]:
    """One symplectic step of the wave equation (equations 6 to 8).

        v += dt c^2 Lap(u),   u += dt v,   then u = 0 outside the mask

    Args:
        position, velocity: u and v, (..., H, W, C), every channel a membrane of its own; or (H, W), one membrane.
        speed: c, pixels a unit of time; a scalar, or an array that broadcasts to `position`.
        dt: the time step; stable up to `largest_dt(speed)`.
        mask: 1 inside, 0 where the position is held at 0; broadcasts to `position`. None: all inside.
        boundary: "clamped": 0 beyond the array, whose pixels thus are the inside of a drum that is one pixel longer;
            "periodic": the other side.

    Returns:
        Position and velocity after the step. The velocity is not masked: outside it is that of the force there, which
        moves nothing.

    Raises:
        ValueError: shapes that do not fit, another word for the boundary, a speed or dt that is not finite, dt <= 0,
            or a known speed * dt beyond the stability limit. Traced values cannot be tested: beyond the limit they
            overflow within some hundred steps.
    """
    position, velocity, mask = _check_wave(position, velocity, mask, speed, dt, boundary)
    velocity = velocity + dt * jnp.square(speed) * laplacian(position, boundary)
    return mask * (position + dt * velocity), velocity


def reverse_wave_step(
    position: Array,
    velocity: Array,
    *,
    speed: Array | float,
    dt: float,
    mask: Array | None = None,
    boundary: Boundary = "clamped",
) -> tuple[Array, Array]:
    """What `wave_step` came from, to rounding; the position before it must have been 0 outside the mask."""
    position, velocity, mask = _check_wave(position, velocity, mask, speed, dt, boundary)
    position = mask * (position - dt * velocity)
    return position, velocity - dt * jnp.square(speed) * laplacian(position, boundary)


def laplacian(position: Array, boundary: Boundary = "clamped") -> Array:
    """The five-point stencil of equation 8 on (..., H, W, C) or (H, W), each channel alone."""
    check_boundary(boundary)
    axes = (0, 1) if position.ndim == 2 else (-3, -2)
    total = -4 * position
    for axis in (axis % position.ndim for axis in axes):
        pads = [(1, 1) if i == axis else (0, 0) for i in range(position.ndim)]
        wide = jnp.pad(position, pads, mode="wrap" if boundary == "periodic" else "constant")
        size = position.shape[axis]
        total += jax.lax.slice_in_dim(wide, 0, size, axis=axis) + jax.lax.slice_in_dim(wide, 2, size + 2, axis=axis)
    return total


def wave_energy(position: Array, velocity: Array, *, speed: float, dt: float, boundary: Boundary = "clamped") -> Array:
    """The quantity that a step without mask keeps to rounding: (..., C), or () for one membrane.

        1/2 sum v^2 - 1/2 c^2 sum u Lap(u) + 1/2 dt c^2 sum v Lap(u)

    It tends to the energy as dt goes to 0, and is positive for every state while dt < `largest_dt(speed)`.
    """
    axes = (0, 1) if position.ndim == 2 else (-3, -2)
    curvature = speed**2 * laplacian(position, boundary)
    return 0.5 * (velocity**2 - position * curvature + dt * velocity * curvature).sum(axes)


def drum_frequencies(side: float, speed: float, modes: Sequence[tuple[int, int]] = ((1, 1),)) -> np.ndarray:
    """Frequencies in Hz of a square drum: f_mn = c / (2 L) sqrt(m^2 + n^2) (equation 5).

    Args:
        side: L, pixels from edge to edge.
        speed: c, pixels a second.
        modes: pairs (m, n) from 1; the first by default.
    """
    return speed / (2 * side) * np.linalg.norm(np.asarray(modes, float), axis=-1)


def grid_frequencies(side: int, speed: float, dt: float, modes: Sequence[tuple[int, int]] = ((1, 1),)) -> np.ndarray:
    """Frequencies in Hz at which `wave_step` itself makes a square drum of L - 1 inner pixels ring.

        f_mn = arcsin( c dt sqrt( sin^2(pi m / 2L) + sin^2(pi n / 2L) ) ) / (pi dt)

    Below the theory's by a share of about (pi^2 / 24 L^2) (m^4 + n^4) / (m^2 + n^2), the error of the five-point
    stencil, less what the time step gives back. Arguments as for `drum_frequencies`, and the time step in seconds.

    Raises:
        ValueError: a time step beyond the stability limit.
    """
    _check_stable(speed, dt)
    wave_numbers = np.sin(np.pi / (2 * side) * np.asarray(modes, float))
    return np.arcsin(speed * dt * np.linalg.norm(wave_numbers, axis=-1)) / (np.pi * dt)


def _check_dt(dt: Array | float) -> None:
    if not isinstance(dt, jax.core.Tracer) and not 0 < dt < math.inf:
        raise ValueError(f"dt must be finite and > 0, got {dt}")


def _check_stable(speed: Array | float, dt: Array | float) -> None:
    _check_dt(dt)
    if isinstance(speed, jax.core.Tracer) or isinstance(dt, jax.core.Tracer):
        return
    fastest = float(np.max(np.abs(speed), initial=0))
    if not math.isfinite(fastest):
        raise ValueError(f"speed must be finite, got {fastest}")
    if fastest * dt > (1 + 1e-6) / math.sqrt(2):
        raise ValueError(
            f"unstable: speed {fastest:g} and dt {dt:g} need dt <= 1 / (speed sqrt 2) = {largest_dt(fastest):g}"
        )


def _check_wave(position, velocity, mask, speed, dt, boundary) -> tuple[Array, Array, Array]:
    check_boundary(boundary)
    _check_stable(speed, dt)
    position, velocity = _floats(position, velocity)
    if position.ndim < 2 or position.shape != velocity.shape:
        raise ValueError(
            f"position and velocity must both be (..., H, W, C) or (H, W), got {position.shape} and {velocity.shape}"
        )
    mask = jnp.ones((), position.dtype) if mask is None else jnp.asarray(mask, position.dtype)
    for name, shape in (("mask", mask.shape), ("speed", jnp.shape(speed))):
        _check_broadcast(name, shape, position.shape)
    return position, velocity, mask


def _floats(*arrays: Array) -> tuple[Array, ...]:
    """Of one floating type, at least JAX's default for Python numbers."""
    arrays = [jnp.asarray(x) for x in arrays]
    dtype = jnp.result_type(*arrays)
    return tuple(x.astype(dtype if jnp.issubdtype(dtype, jnp.floating) else float) for x in arrays)


def _check_broadcast(name: str, shape: tuple[int, ...], target: tuple[int, ...]) -> None:
    try:
        fits = jnp.broadcast_shapes(shape, target) == tuple(target)
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"{name} must broadcast to the position's shape {target}, got {shape}")


# Coupled oscillators


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
    lead, params, state = _to_inner(position, velocity, kernel, omega, damping, dt)
    return tuple(from_inner(x, lead) for x in inner_step(params, state, implicit_damping=implicit_damping))


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
    lead, params, state = _to_inner(position, velocity, kernel, omega, damping, dt)
    return tuple(from_inner(x, lead) for x in reverse_inner_step(params, state, implicit_damping=implicit_damping))


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
    (see `inner_trajectory`).

    Returns:
        Trajectory: last position and velocity (..., H, W, C), the positions after every step (num_steps, ..., H, W, C),
        and whether gradients undo the steps.
    """
    lead, params, state = _to_inner(position, velocity, kernel, omega, damping, dt)
    out = inner_trajectory(
        params,
        state,
        num_steps=num_steps,
        implicit_damping=implicit_damping,
        checkpoint_every=checkpoint_every,
        reversible=reversible,
    )
    return Trajectory(*(from_inner(x, lead) for x in out[:3]), out.inverted)


def inner_step(params: Params, state: tuple[Array, Array], *, implicit_damping: bool) -> tuple[Array, Array]:
    """`oscillator_step` in the inner layout (C, H, W, N)."""
    return advance(params, state, implicit_damping=implicit_damping)[0]


def reverse_inner_step(params: Params, state: tuple[Array, Array], *, implicit_damping: bool) -> tuple[Array, Array]:
    """What `inner_step` came from."""
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


def inner_trajectory(
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
    step, invert = (partial(fn, implicit_damping=implicit_damping) for fn in (inner_step, reverse_inner_step))
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


def _to_inner(position, velocity, kernel, omega, damping, dt) -> tuple[tuple[int, ...], Params, tuple[Array, Array]]:
    _check_dt(dt)
    position, velocity, kernel = _floats(position, velocity, kernel)
    shape = position.shape
    if position.ndim < 3 or velocity.shape != shape:
        raise ValueError(f"position and velocity must both be (..., H, W, C), got {shape} and {velocity.shape}")
    if kernel.ndim != 4 or kernel.shape[2:] != (shape[-1],) * 2:
        raise ValueError(f"kernel must be (kh, kw, C, C) for a position (..., H, W, C), got {kernel.shape} and {shape}")
    given = []
    for name, value in (("omega", omega), ("damping", damping)):
        _check_broadcast(name, jnp.shape(value), shape)
        value = jnp.asarray(value, position.dtype)
        given.append(value if value.ndim == 0 else to_inner(jnp.broadcast_to(value, shape)))
    params = (kernel, *given, jnp.asarray(dt, position.dtype))
    return shape[:-3], params, (to_inner(position), to_inner(velocity))
