"""Recurrent networks of oscillators and waves: the coRNN and the wave-RNN.

The coRNN is a network of damped oscillators that drive each other through tanh (Rusch and Mishra, 2021, equations 1 and
3). In the wave-RNN units on a ring receive from their neighbours only, so that a pattern travels (Keller, Muller,
Sejnowski and Welling, 2024, equation 3).
"""

from functools import partial
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jax import Array

from oscnets._inputs import broadcasting, floats, precision, rectified, standard_promotion
from oscnets._sharding import batch_sharded

__all__ = ["Activation", "oscillator_step", "oscillator_trajectory", "ring_step", "ring_trajectory"]

Activation = Literal["relu", "tanh"]


def __dir__() -> list[str]:
    return __all__


@standard_promotion
@batch_sharded("position", core=1, out=(0, 0))
def oscillator_step(
    position: Array,
    velocity: Array,
    drive: Array,
    position_coupling: Array,
    velocity_coupling: Array,
    *,
    dt: Array | float,
    stiffness: Array | float,
    damping: Array | float,
) -> tuple[Array, Array]:
    """One step of the coRNN.

        z += dt [ tanh(W_y y + W_z z + drive) - stiffness y - damping z ],    then    y += dt z

    Args:
        position, velocity: y and z, (..., N).
        drive: V x + b, broadcasting to (..., N).
        position_coupling, velocity_coupling: W_y and W_z, (N, N), row i receives.
        dt: time step.
        stiffness: gamma, the squared frequency, a scalar or (N,).
        damping: epsilon, 1 / time, a scalar or (N,).

    Returns:
        y and z after the step, (..., N) each.

    Raises:
        ValueError: shapes that do not fit together.
        TypeError: a sparse or complex array.
    """
    position, velocity, drive, *couplings = floats(
        position=position,
        velocity=velocity,
        drive=drive,
        position_coupling=position_coupling,
        velocity_coupling=velocity_coupling,
    )
    (drive,) = broadcasting(position.shape, "position", position.dtype, drive=drive)
    (velocity,) = broadcasting(position.shape, "position", position.dtype, velocity=velocity)
    values = _oscillators(position, couplings, dt, stiffness, damping)
    return _oscillator_step((position, velocity), drive, *couplings, *values)


def _oscillators(position: Array, couplings: list[Array], dt, stiffness, damping) -> list[Array]:
    units = position.shape[-1:]
    if position.ndim < 1 or any(x.shape != 2 * units for x in couplings):
        raise ValueError(
            "position_coupling and velocity_coupling must be (N, N) for states (..., N), "
            f"got {couplings[0].shape}, {couplings[1].shape} and {position.shape}"
        )
    return broadcasting(units, "units", position.dtype, dt=dt, stiffness=stiffness, damping=damping)


def _oscillator_step(state, drive, position_coupling, velocity_coupling, dt, stiffness, damping):
    position, velocity = state
    received = jnp.einsum("ij,...j->...i", position_coupling, position, precision=precision())
    received += jnp.einsum("ij,...j->...i", velocity_coupling, velocity, precision=precision())
    velocity = velocity + dt * (jnp.tanh(received + drive) - stiffness * position - damping * velocity)
    return position + dt * velocity, velocity


@standard_promotion
@batch_sharded("drive", core=2, out=(0, 0))
def oscillator_trajectory(
    drive: Array,
    position_coupling: Array,
    velocity_coupling: Array,
    *,
    dt: Array | float,
    stiffness: Array | float,
    damping: Array | float,
) -> tuple[Array, Array]:
    """A run of the coRNN from rest, y = z = 0.

    Args:
        drive: (..., T, N), one value of every step.
        position_coupling, velocity_coupling, dt, stiffness, damping: as for `oscillator_step`.

    Returns:
        y and z after every step, (..., T, N) each.

    Raises:
        ValueError, TypeError: as `oscillator_step`.
    """
    drive, *couplings = floats(drive=drive, position_coupling=position_coupling, velocity_coupling=velocity_coupling)
    if drive.ndim < 2:
        raise ValueError(f"drive must be (..., T, N), got shape {drive.shape}")
    values = _oscillators(drive, couplings, dt, stiffness, damping)
    return _oscillator_trajectory(drive, *couplings, *values)


@partial(jax.jit, inline=True)
def _oscillator_trajectory(drive: Array, *parameters: Array) -> tuple[Array, Array]:
    def step(state: tuple[Array, Array], drive: Array):
        state = _oscillator_step(state, drive, *parameters)
        return state, state

    zeros = jnp.zeros_like(drive[..., 0, :])
    states = jax.lax.scan(step, (zeros, zeros), jnp.moveaxis(drive, -2, 0))[1]
    return jnp.moveaxis(states[0], 0, -2), jnp.moveaxis(states[1], 0, -2)


@standard_promotion
@batch_sharded("state", core=2)
def ring_step(state: Array, drive: Array, kernel: Array, *, activation: Activation = "relu") -> Array:
    """One step of the wave-RNN: h = f(drive + k * h), a circular convolution over the places of a ring.

        (k * h)[i] = sum_j k[j] h[i + j - K // 2]

    Args:
        state: h, (..., N, C): places, channels.
        drive: V x and all biases, broadcasting to (..., N, C).
        kernel: (K, C, C), input before output channels; an entry beyond the middle moves a pattern towards lower
            places. With N = 1 and K = 1 it is the matrix of an ordinary recurrent network.
        activation: f, "relu" or "tanh".

    Returns:
        (..., N, C).

    Raises:
        ValueError: shapes that do not fit together, an unknown activation.
        TypeError: a sparse or complex array.
    """
    state, drive, kernel = floats(state=state, drive=drive, kernel=kernel)
    _check_ring(state, kernel, activation)
    (drive,) = broadcasting(state.shape, "state", state.dtype, drive=drive)
    return _ring_step(state, drive, kernel, activation)


def _check_ring(state: Array, kernel: Array, activation: str) -> None:
    if state.ndim < 2 or kernel.ndim != 3 or kernel.shape[1:] != 2 * state.shape[-1:]:
        raise ValueError(f"kernel must be (K, C, C) for places (..., N, C), got {kernel.shape} and {state.shape}")
    if activation not in get_args(Activation):
        raise ValueError(f"activation must be relu or tanh, got {activation!r}")


def _ring_step(state: Array, drive: Array, kernel: Array, activation: str) -> Array:
    size, channels, _ = kernel.shape
    shifted = jnp.concatenate([jnp.roll(state, size // 2 - j, axis=-2) for j in range(size)], -1)
    received = jnp.matmul(shifted, kernel.reshape(size * channels, channels), precision=precision())
    return rectified(drive + received) if activation == "relu" else jnp.tanh(drive + received)


@standard_promotion
@batch_sharded("drive", core=3)
def ring_trajectory(drive: Array, kernel: Array, *, activation: Activation = "relu") -> Array:
    """A run of the wave-RNN from h = 0.

    Args:
        drive: (..., T, N, C), one value of every step.
        kernel, activation: as for `ring_step`.

    Returns:
        h after every step, (..., T, N, C).

    Raises:
        ValueError, TypeError: as `ring_step`.
    """
    drive, kernel = floats(drive=drive, kernel=kernel)
    if drive.ndim < 3:
        raise ValueError(f"drive must be (..., T, N, C), got shape {drive.shape}")
    _check_ring(drive, kernel, activation)
    return _ring_trajectory(drive, kernel, activation=activation)


@partial(jax.jit, static_argnames="activation", inline=True)
def _ring_trajectory(drive: Array, kernel: Array, *, activation: str) -> Array:
    def step(state: Array, drive: Array) -> tuple[Array, Array]:
        state = _ring_step(state, drive, kernel, activation)
        return state, state

    states = jax.lax.scan(step, jnp.zeros_like(drive[..., 0, :, :]), jnp.moveaxis(drive, -3, 0))[1]
    return jnp.moveaxis(states, 0, -3)
