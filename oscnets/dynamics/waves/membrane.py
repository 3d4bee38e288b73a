"""The membrane of a drum: the wave equation on a grid (Jacobs et al., 2025, equations 1 to 8).

The step is symplectic: the velocity moves first, the position follows with the new velocity, so that the energy stays
bounded and a step can be inverted.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from oscnets._products.stencil import Boundary, check_boundary
from oscnets.dynamics.waves._checks import as_floats, check_broadcast, check_dt


def largest_dt(speed: float) -> float:
    """Largest stable time step h / (c sqrt 2) of `wave_step`; grid spacing h = 1, speed c in pixels per unit of time.

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
        position, velocity: u and v, (..., H, W, C), each channel a separate membrane; or (H, W), one membrane.
        speed: c, pixels per unit of time; a scalar, or an array that broadcasts to `position`.
        dt: the time step; stable up to `largest_dt(speed)`.
        mask: 1 inside, 0 where the position is held at 0; broadcasts to `position`. None: all inside.
        boundary: "clamped": 0 beyond the array, whose pixels thus are the inside of a drum that is one pixel longer;
            "periodic": the other side.

    Returns:
        Position and velocity after the step. The velocity is not masked: outside it integrates the force there, without
        effect.

    Raises:
        ValueError: shapes that do not fit, an unknown boundary, a speed or dt that is not finite, dt <= 0, or a
            speed * dt beyond the stability limit. Traced values are not checked: beyond the limit states overflow
            within some hundred steps.
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
    """Inverse of `wave_step`, up to rounding, of states that were 0 outside the mask. Arguments and errors as there."""
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
    """The quantity that a step without mask conserves up to rounding: (..., C), or () for one membrane.

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
        speed: c, pixels per second.
        modes: pairs (m, n) from 1; the first by default.
    """
    return speed / (2 * side) * np.linalg.norm(np.asarray(modes, float), axis=-1)


def grid_frequencies(side: int, speed: float, dt: float, modes: Sequence[tuple[int, int]] = ((1, 1),)) -> np.ndarray:
    """Frequencies in Hz of a square drum of L - 1 inner pixels that `wave_step` integrates.

        f_mn = arcsin( c dt sqrt( sin^2(pi m / 2L) + sin^2(pi n / 2L) ) ) / (pi dt)

    Below the theory's by a share of about (pi^2 / 24 L^2) (m^4 + n^4) / (m^2 + n^2), the error of the five-point
    stencil, which the time step's error partly cancels. Arguments as for `drum_frequencies`; dt in seconds.

    Raises:
        ValueError: a time step beyond the stability limit.
    """
    _check_stable(speed, dt)
    wave_numbers = np.sin(np.pi / (2 * side) * np.asarray(modes, float))
    return np.arcsin(speed * dt * np.linalg.norm(wave_numbers, axis=-1)) / (np.pi * dt)


def _check_stable(speed: Array | float, dt: Array | float) -> None:
    check_dt(dt)
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
    position, velocity = as_floats(position, velocity)
    if position.ndim < 2 or position.shape != velocity.shape:
        raise ValueError(
            f"position and velocity must both be (..., H, W, C) or (H, W), got {position.shape} and {velocity.shape}"
        )
    mask = jnp.ones((), position.dtype) if mask is None else jnp.asarray(mask, position.dtype)
    for name, shape in (("mask", mask.shape), ("speed", jnp.shape(speed))):
        check_broadcast(name, shape, position.shape)
    return position, velocity, mask
