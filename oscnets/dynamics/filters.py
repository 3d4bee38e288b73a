"""Banks of linear oscillators as filters of sequences: LinOSS and its damped forms (D-LinOSS).

Each of P units is a damped harmonic oscillator with a force u,

    y'' = -stiffness y - damping y' + u

in one of four discretizations with its own time step. All are linear recurrences of the two states z = y' and y with
constant coefficients, computed step by step, by an associative scan, by matrix products of chunks, or by Fourier
transforms; the results are the same up to rounding. The equations are those of Rusch and Rus (2025, LinOSS, section 2)
for damping 0, and of Boyer, Rusch and Rus (2025, D-LinOSS) with it.
"""

from functools import partial
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jax import Array

from oscnets._inputs import at_least_float32, broadcasting, floats, precision, rectified, standard_promotion
from oscnets._platform import sizes
from oscnets._sharding import batch_sharded
from oscnets.dynamics._second_order import METHODS, Pair

__all__ = [
    "Form",
    "Method",
    "filter_bank",
    "from_poles",
    "oscillator_filter",
    "stable_parameters",
    "state_space",
    "transition",
]

Form = Literal["im", "imex", "imex2", "ex"]
Method = Literal["auto", "scan", "associative", "chunk", "fft"]


def __dir__() -> list[str]:
    return __all__


@standard_promotion
def transition(
    stiffness: Array | float, damping: Array | float, dt: Array | float, *, form: Form = "imex"
) -> tuple[Array, Array]:
    """One step of a damped oscillator: (z, y)_k = M (z, y)_{k-1} + F u_k with z = y'.

    Args:
        stiffness: A, the squared angular frequency, 1 / time^2, broadcasting with the others.
        damping: G >= 0, 1 / time.
        dt: time step.
        form: "im", implicit: all forces at the new state; dissipates. "imex": position explicit, damping implicit;
            without damping it is symplectic and keeps energy bounded while dt^2 A < 4. "imex2": the same with explicit
            damping. "ex": explicit Euler.

    Returns:
        M (..., 2, 2) and F (..., 2), for the broadcast shape of the arguments.

    Raises:
        ValueError: an unknown form.
    """
    stiffness, damping, dt = jnp.broadcast_arrays(*floats(stiffness=stiffness, damping=damping, dt=dt))
    entries, gain = _coefficients(stiffness, damping, dt, form)
    matrix = jnp.stack(entries, axis=-1).reshape(*dt.shape, 2, 2)
    return matrix, jnp.stack(gain, axis=-1)


def _coefficients(stiffness: Array, damping: Array, dt: Array, form: str) -> tuple[tuple[Array, ...], Pair]:
    _choice("form", form, Form)
    drag, pull, one = dt * damping, dt * stiffness, jnp.ones_like(dt)
    if form == "ex":
        return (one - drag, -pull, dt, one), (dt, jnp.zeros_like(dt))
    if form == "imex2":
        return (one - drag, -pull, dt * (1 - drag), 1 - dt * pull), (dt, dt * dt)
    shrink = 1 / (1 + drag + (dt * pull if form == "im" else 0))
    gain = dt * shrink, dt * dt * shrink
    if form == "im":
        return (shrink, -pull * shrink, dt * shrink, (1 + drag) * shrink), gain
    return (shrink, -pull * shrink, dt * shrink, 1 - dt * pull * shrink), gain


def _choice(name: str, value: str, choices: object) -> None:
    if value not in get_args(choices):
        raise ValueError(f"{name} must be one of {', '.join(get_args(choices))}, got {value!r}")


@standard_promotion
@batch_sharded("drive", core=2, out=(0, 0))
def filter_bank(
    drive: Array,
    matrix: Array,
    gain: Array,
    *,
    start: tuple[Array, Array] | None = None,
    method: Method = "auto",
) -> tuple[Array, Array]:
    """Both states of P units after every step: (z, y)_k = M (z, y)_{k-1} + F u_k.

    Args:
        drive: u, (..., L, P). Real and imaginary parts of a complex drive are two sequences.
        matrix: M, (P, 2, 2), the same at every step.
        gain: F, (P, 2).
        start: (z, y) before the first step, broadcasting to (..., P); None is 0. The last states of one call continue
            a sequence in the next.
        method: "scan", step by step; "associative", log L rounds of elementwise products; "chunk", matrix products of
            32 steps; "fft", Fourier transforms over all L steps. "auto" is "scan" for few numbers in the drive, else
            "chunk"; how few depends on the device.
            "fft" and "associative" need more memory. Results are the same up to rounding, as long as the powers of M
            do not overflow.

    Returns:
        z and y, (..., L, P) each. Half precision is computed in float32.

    Raises:
        ValueError: shapes that do not fit together, an unknown method.
        TypeError: a sparse or complex array.
    """
    drive, matrix, gain = floats(drive=drive, matrix=matrix, gain=gain)
    units = drive.shape[-1:]
    if drive.ndim < 2 or matrix.shape != (*units, 2, 2) or gain.shape != (*units, 2):
        raise ValueError(
            "matrix must be (P, 2, 2) and gain (P, 2) for drive (..., L, P), "
            f"got {matrix.shape}, {gain.shape} and {drive.shape}"
        )
    _choice("method", method, Method)
    shape = (*drive.shape[:-2], *units)
    zeros = jnp.zeros(shape, drive.dtype)
    if start is not None:
        velocity, position = broadcasting(shape, "sequences", drive.dtype, velocity=start[0], position=start[1])
        start = jnp.broadcast_to(velocity, shape), jnp.broadcast_to(position, shape)
    if not drive.size:
        return drive, drive
    if method == "auto":
        method = "scan" if drive.size <= sizes().loop_numbers else "chunk"
    return _filter_bank(drive, matrix, gain, (zeros, zeros) if start is None else start, method=method)


@partial(jax.jit, static_argnames="method", inline=True)
def _filter_bank(drive: Array, matrix: Array, gain: Array, start: Pair, *, method: str) -> Pair:
    dtype = drive.dtype
    wide = lambda x: x.astype(at_least_float32(dtype))  # noqa: E731
    length, units = drive.shape[-2:]
    flat = jnp.moveaxis(wide(drive).reshape(-1, length, units), 0, -1)
    entries = tuple(wide(matrix[:, i, j])[:, None] for i in (0, 1) for j in (0, 1))
    gains = wide(gain[:, :1]), wide(gain[:, 1:])
    first = tuple(wide(x).reshape(-1, units).T for x in start)
    states = METHODS[method](entries, gains, flat, first)  # type: ignore[arg-type]
    return tuple(jnp.moveaxis(x, -1, 0).reshape(drive.shape).astype(dtype) for x in states)  # type: ignore[return-value]


@standard_promotion
def oscillator_filter(
    drive: Array,
    stiffness: Array | float,
    damping: Array | float,
    dt: Array | float,
    *,
    form: Form = "imex",
    start: tuple[Array, Array] | None = None,
    method: Method = "auto",
) -> tuple[Array, Array]:
    """Velocity and position of P damped oscillators under a force: `transition`, then `filter_bank`.

    Args:
        drive: the force u, (..., L, P).
        stiffness, damping, dt, form: as for `transition`; (P,) or scalars.
        start, method: as for `filter_bank`.

    Returns:
        z = y' and y after every step, (..., L, P) each.

    Raises:
        ValueError, TypeError: as `transition` and `filter_bank`.
    """
    drive, stiffness, damping, dt = floats(drive=drive, stiffness=stiffness, damping=damping, dt=dt)
    values = broadcasting(drive.shape[-1:], "units", drive.dtype, stiffness=stiffness, damping=damping, dt=dt)
    matrix, gain = transition(*(jnp.broadcast_to(x, drive.shape[-1:]) for x in values), form=form)
    return filter_bank(drive, matrix, gain, start=start, method=method)


@standard_promotion
@batch_sharded("inputs", core=2)
def state_space(
    inputs: Array,
    stiffness: Array | float,
    damping: Array | float,
    dt: Array | float,
    input_weights: Array,
    output_weights: Array,
    feedthrough: Array | float | None = None,
    *,
    form: Form = "imex",
    method: Method = "auto",
) -> Array:
    """A layer of oscillators between two linear maps: x = Re(C y) + D u, where y are oscillators under the force B u.

    Args:
        inputs: u, (..., L, H).
        stiffness, damping, dt, form: as for `transition`; (P,) or scalars.
        input_weights: B, (P, H, 2), real and imaginary parts.
        output_weights: C, (H_out, P, 2).
        feedthrough: D, (H,) or a scalar, for H_out = H; None is none.
        method: as for `filter_bank`.

    Returns:
        (..., L, H_out).

    Raises:
        ValueError: shapes that do not fit together, an unknown form or method.
        TypeError: a sparse or complex array.
    """
    through = 0.0 if feedthrough is None else feedthrough
    inputs, b, c, stiffness, damping, dt, through = floats(
        inputs=inputs,
        input_weights=input_weights,
        output_weights=output_weights,
        stiffness=stiffness,
        damping=damping,
        dt=dt,
        feedthrough=through,
    )
    fits = b.ndim == 3 and c.ndim == 3 and b.shape[1:] == (*inputs.shape[-1:], 2) and c.shape[1:] == (len(b), 2)
    if inputs.ndim < 2 or not fits:
        raise ValueError(
            "input_weights must be (P, H, 2) and output_weights (H_out, P, 2) for inputs (..., L, H), "
            f"got {b.shape}, {c.shape} and {inputs.shape}"
        )
    drive = jnp.einsum("...lh,phr->r...lp", inputs, b, precision=precision())
    _, position = oscillator_filter(drive, stiffness, damping, dt, form=form, method=method)
    read = jnp.einsum("r...lp,hpr->...lh", position, c * jnp.asarray([1, -1], c.dtype), precision=precision())
    if feedthrough is None:
        return read
    if len(c) != inputs.shape[-1]:
        raise ValueError(f"feedthrough needs output_weights (H, P, 2) for inputs (..., L, H), got {c.shape}")
    (through,) = broadcasting(inputs.shape[-1:], "channels", inputs.dtype, feedthrough=through)
    return read + through * inputs


@standard_promotion
def stable_parameters(
    stiffness: Array, damping: Array | float, dt: Array | float, *, form: Form = "imex"
) -> tuple[Array, Array]:
    """Stiffness and damping moved into the region where the poles are complex and the filter is stable (D-LinOSS).

    With d = dt G, s = sqrt(1 + d), and both clipped from below and above as follows:

        imex:   G >= 0,        (2 + d - 2 s) / dt^2 <= A <= (2 + d + 2 s) / dt^2
        imex2:  G >= 0,        the same with -d in place of d; d <= 1
        im:     G >= -dt A,    A >= G^2 / 4
        ex:     G >= dt A,     A >= G^2 / 4

    Args:
        stiffness, damping, dt: as for `transition`; dt^2 counts as at least 1e-6 in the bounds of A.
        form: as for `transition`.

    Returns:
        A and G, of the broadcast shape. The gradient is 0 in what is clipped. For imex2, NaN where dt G > 1: no
        stiffness is stable with complex poles there.

    Raises:
        ValueError: an unknown form.
    """
    stiffness, damping, dt = jnp.broadcast_arrays(*floats(stiffness=stiffness, damping=damping, dt=dt))
    _choice("form", form, Form)
    if form in ("im", "ex"):
        least = dt * stiffness if form == "ex" else -dt * stiffness
        damping = least + rectified(damping - least)
        least = damping * damping / 4
        return least + rectified(stiffness - least), damping
    damping = rectified(damping)
    drag = dt * damping if form == "imex" else -dt * damping
    square = jnp.where(dt * dt <= 1e-6, jnp.asarray(1e-6, dt.dtype), dt * dt)
    low, high = ((2 + drag + sign * 2 * jnp.sqrt(1 + drag)) / square for sign in (-1, 1))
    return low + rectified(stiffness - low) - rectified(stiffness - high), damping


@standard_promotion
def from_poles(radius: Array | float, angle: Array | float, dt: Array | float) -> tuple[Array, Array]:
    """Stiffness and damping of the form "imex" whose poles are radius e^{+-i angle} (D-LinOSS, initial values).

        G = (1 - r^2) / (dt r^2),    A = (1 - 2 r cos angle + r^2) / (dt^2 r^2)

    The form "imex" has the determinant 1 / S = r^2 and the trace 1 + (1 - dt^2 A) / S = 2 r cos angle.

    Args:
        radius: r in (0, 1], the factor by which a free oscillation decays in a step.
        angle: radians per step.
        dt: time step > 0.

    Returns:
        A and G, of the broadcast shape.
    """
    radius, angle, dt = jnp.broadcast_arrays(*floats(radius=radius, angle=angle, dt=dt))
    square = radius * radius
    stiffness = (1 - 2 * radius * jnp.cos(angle) + square) / (dt * dt * square)
    return stiffness, (1 - square) / (dt * square)
