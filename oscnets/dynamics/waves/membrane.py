"""The membrane of a drum: the wave equation on a grid (Jacobs et al., 2025, equations 1 to 8).

The step is symplectic: the velocity moves first, the position follows with the new velocity, so that the energy stays
bounded and a step can be inverted.
"""

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from oscnets._inputs import broadcasting, check_dt, concrete, floats, standard_promotion
from oscnets._products.stencil import Boundary, check_boundary


def largest_dt(speed: Array | float) -> float:
    """Largest stable time step h / (c sqrt 2) of `wave_step`; grid spacing h = 1, speed c in pixels per unit of time.

    The Laplacian's eigenvalues lie within [-8 / h^2, 0], and a symplectic step is stable while dt^2 c^2 times the
    largest is at most 4. Of an array of speeds, such as one per pixel, the largest counts. Infinite for a speed of 0.
    """
    fastest = float(np.max(np.abs(np.asarray(speed, float)), initial=0))
    return math.inf if fastest == 0 else 1 / (fastest * math.sqrt(2))


@standard_promotion
def wave_step(
    position: Array,
    velocity: Array,
    *,
    speed: Array | float,
    dt: Array | float,
    mask: Array | None = None,
    boundary: Boundary = "clamped",
) -> tuple[Array, Array]:
    """One symplectic step of the wave equation (equations 6 to 8).

        v += dt c^2 Lap(u),   u += dt v,   then u = 0 outside the mask

    Args:
        position, velocity: u and v, (..., H, W, C), each channel a separate membrane; or (H, W), one membrane.
        speed: c, pixels per unit of time; a scalar, or an array that broadcasts to `position`, such as one per pixel.
        dt: the time step; stable up to `largest_dt(speed)`. A scalar, or an array that broadcasts to `position`, such
            as one per membrane.
        mask: nonzero inside, 0 where the position is held at 0; broadcasts to `position`. None: all inside. Positions
            and velocities outside have no influence, NaN included.
        boundary: "clamped": 0 beyond the array, whose pixels thus are the inside of a drum that is one pixel longer;
            "periodic": the other side.

    Returns:
        Position and velocity after the step, of the floating type of both before. The velocity outside the mask stays
        as it is.

    Raises:
        ValueError: shapes that do not fit, an unknown boundary, a speed or dt that is not finite, dt <= 0, or a
            speed * dt beyond the stability limit. Traced values are not checked: beyond the limit states overflow
            within some hundred steps.
    """
    position, velocity, inside, (speed, dt) = _check_wave(position, velocity, mask, speed, dt, boundary)
    velocity = velocity + inside(dt * jnp.square(speed) * laplacian(position, boundary))
    return position + dt * inside(velocity), velocity


@standard_promotion
def wave_vector_field(
    position: Array,
    velocity: Array,
    *,
    speed: Array | float,
    mask: Array | None = None,
    boundary: Boundary = "clamped",
) -> tuple[Array, Array]:
    """Time derivatives of position and velocity, (v, c^2 Lap(u)), for any solver (equation 6).

    Args:
        position, velocity, speed, mask, boundary: as for `wave_step`; the position must be 0 outside the mask, where it
            then stays.

    Returns:
        Pixels per unit of time if the position is in pixels, and that per unit of time, both of the shape and floating
        type of position and velocity; 0 outside the mask.

    Raises:
        ValueError: shapes that do not fit, an unknown boundary.
    """
    check_boundary(boundary)
    position, velocity, speed, _ = _check_fields(position, velocity, speed, 1.0)
    inside = _inside(position, mask)
    return inside(velocity), inside(jnp.square(speed) * laplacian(inside(position), boundary))


@standard_promotion
def reverse_wave_step(
    position: Array,
    velocity: Array,
    *,
    speed: Array | float,
    dt: Array | float,
    mask: Array | None = None,
    boundary: Boundary = "clamped",
) -> tuple[Array, Array]:
    """Inverse of `wave_step`, up to rounding, of states that were 0 outside the mask. Arguments and errors as there."""
    position, velocity, inside, (speed, dt) = _check_wave(position, velocity, mask, speed, dt, boundary)
    position = position - dt * inside(velocity)
    return position, velocity - inside(dt * jnp.square(speed) * laplacian(position, boundary))


@standard_promotion
def laplacian(position: Array, boundary: Boundary = "clamped") -> Array:
    """The five-point stencil of equation 8 on (..., H, W, C) or (H, W), each channel alone."""
    check_boundary(boundary)
    (position,) = floats(position=position)
    if position.ndim < 2:
        raise ValueError(f"position must be (..., H, W, C) or (H, W), got {position.shape}")
    axes = _axes(position)
    total = -4 * position
    for axis in (axis % position.ndim for axis in axes):
        pads = [(1, 1) if i == axis else (0, 0) for i in range(position.ndim)]
        wide = jnp.pad(position, pads, mode="wrap" if boundary == "periodic" else "constant")
        size = position.shape[axis]
        total += jax.lax.slice_in_dim(wide, 0, size, axis=axis) + jax.lax.slice_in_dim(wide, 2, size + 2, axis=axis)
    return total


@standard_promotion
def wave_energy(
    position: Array, velocity: Array, *, speed: Array | float, dt: Array | float, boundary: Boundary = "clamped"
) -> Array:
    """The quantity that a step without mask conserves up to rounding: (..., C), or () for one membrane.

        1/2 sum v^2 - 1/2 c^2 sum u Lap(u) + 1/2 dt c^2 sum v Lap(u)

    It tends to the energy as dt goes to 0, and is positive for every state while dt < `largest_dt(speed)`. With a speed
    per pixel it is 1/2 sum (s^2 / c^2) v^2 - 1/2 s^2 sum u Lap(u) + 1/2 dt s^2 sum v Lap(u), where s is the largest
    speed of the membrane; pixels of speed 0 beside others, which nothing accelerates, count without their v^2, and it
    is conserved while they stand still.

    Args:
        position, velocity, speed, boundary: as for `wave_step`.
        dt: the time step; a scalar, or one per membrane that broadcasts to `position`.

    Raises:
        ValueError: shapes that do not fit, an unknown boundary, a dt that is not finite or <= 0.
    """
    position, velocity, speed, dt = _check_fields(position, velocity, speed, dt)
    axes = _axes(position)
    square = jnp.broadcast_to(jnp.square(speed), position.shape).astype(position.dtype)
    reference = square.max(axes, keepdims=True, initial=0)
    inertia = jnp.where(square > 0, reference / jnp.where(square > 0, square, 1), reference == 0)
    curvature = reference * laplacian(position, boundary)
    return 0.5 * (inertia * velocity**2 - position * curvature + dt * velocity * curvature).sum(axes)


def _axes(position: Array) -> tuple[int, int]:
    return (0, 1) if position.ndim == 2 else (-3, -2)


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
    check_dt(dt)
    broadcasting((), "", float, speed=speed, dt=dt)
    _check_stable(speed, dt)
    wave_numbers = np.sin(np.pi / (2 * side) * np.asarray(modes, float))
    return np.arcsin(speed * dt * np.linalg.norm(wave_numbers, axis=-1)) / (np.pi * dt)


def _check_stable(speed: Array | float, dt: Array | float) -> None:
    speed, dt = concrete(speed), concrete(dt)
    if speed is None or dt is None:
        return
    speed, dt = np.abs(speed.astype(float)), dt.astype(float)
    if not np.isfinite(speed).all():
        raise ValueError(f"speed must be finite, got {speed[~np.isfinite(speed)][0]}")
    products = speed * dt
    if products.size and products.max() > (1 + 1e-6) / math.sqrt(2):
        worst = np.unravel_index(products.argmax(), products.shape)
        fastest, step = (np.broadcast_to(x, products.shape)[worst] for x in (speed, dt))
        raise ValueError(
            f"unstable: speed {fastest:g} and dt {step:g} need dt <= 1 / (speed sqrt 2) = {largest_dt(fastest):g}"
        )


def _check_fields(position, velocity, speed, dt) -> tuple[Array, Array, Array, Array]:
    """Position and velocity of one floating type; speed and dt of the same, or Python numbers."""
    position, velocity = floats(position=position, velocity=velocity)
    if position.ndim < 2 or position.shape != velocity.shape:
        raise ValueError(
            f"position and velocity must both be (..., H, W, C) or (H, W), got {position.shape} and {velocity.shape}"
        )
    speed, dt = (
        x if type(x) in (int, float) else broadcasting(position.shape, "position", position.dtype, **{name: x})[0]
        for name, x in (("speed", speed), ("dt", dt))
    )
    check_dt(dt)
    return position, velocity, speed, dt


def _check_wave(position, velocity, mask, speed, dt, boundary):
    """Position, 0 outside the mask, and velocity; a function that sets an array to 0 outside; speed and dt."""
    check_boundary(boundary)
    position, velocity, *parameters = _check_fields(position, velocity, speed, dt)
    _check_stable(*parameters)
    inside = _inside(position, mask)
    return inside(position), velocity, inside, parameters


def _inside(position: Array, mask: Array | None) -> Callable[[Array], Array]:
    """A function that sets an array to 0 outside the mask."""
    if mask is None:
        return lambda x: x
    mask = broadcasting(position.shape, "position", position.dtype, mask=mask)[0] != 0
    return lambda x: jnp.where(mask, x, 0)
