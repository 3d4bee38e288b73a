"""The Neural Wave Machine solved for all steps at once, against its steps one after another.

The waves are linear oscillators under the force tanh(W * u) of their own positions. Given positions of all steps, the
forces of all steps follow at once, and new positions from them by a filter of damped oscillators: an iteration whose
fixed point is the run. `picard` takes the forces as they are; `diagonal` linearizes them in the oscillator's own
position (quasi-DEER: Gonzalez et al., 2024), so that its filter has another stiffness at every step. Step k is exact
after k iterations at the latest.
"""

import itertools
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments import engine
from experiments.bench import waves as scenes
from oscnets import models, weights
from oscnets.dynamics import filters, waves
from oscnets.models import pixel_head

SOLVERS = ("picard", "diagonal")
TOLERANCES = (1e-5, 1e-6)
DT = 0.1
Params = dict[str, Array]  # kernel; omega, damping and start, (B, H, W, C)


def network(source: str, channels: int, size: int, batch_size: int = 1) -> Params:
    """Kernel, frequencies, damping and first positions that a network gives to pictures of one disk each.

    Args:
        source: "trained", the package's network of 2 channels, or "initial".
        channels: C; of an initial network.
        size: of the picture, pixels.
        batch_size: pictures.
    """
    images = jnp.asarray(scenes.scenes(batch_size, size)["images"])
    if source == "trained":
        params = weights.pretrained("wave_machine").variables["params"]
        images = jnp.repeat(images, 3, axis=-1)
    else:
        module = models.NeuralWaveMachine(channels=channels, num_steps=2)
        params = module.init(jax.random.key(0), images[:1, :8, :8])["params"]
    channels = params["kernel"].shape[-1]

    def encoded(name: str, features: Sequence[int], last: str) -> Array:
        encoder = pixel_head.Encoder((*features, channels), last)
        return jnp.moveaxis(encoder.apply({"params": params[name]}, jnp.moveaxis(images, (3, 0), (0, 3))), (0, 3), (3, 0))

    return {
        "kernel": params["kernel"],
        "omega": encoded("omega_encoder", (16, 16), "relu"),
        "damping": encoded("damping_encoder", (16, 16), "relu"),
        "start": encoded("position_encoder", (16, 16, 16), "tanh"),
    }


def sequential(params: Params, num_steps: int) -> Array:
    """Positions after every step, (T, B, H, W, C), by the library's loop."""
    start, *rest = (params[name] for name in ("start", "kernel", "omega", "damping"))
    return waves.oscillator_trajectory(start, jnp.zeros_like(start), *rest, dt=DT, num_steps=num_steps).positions


def coupled(params: Params, positions: Array) -> tuple[Array, Array]:
    """Positions before every step, and their forces tanh(W * u)."""
    before = jnp.concatenate([params["start"][None], positions[:-1]])
    return before, waves.oscillator_vector_field(before, jnp.zeros_like(before), params["kernel"], 0.0, 0.0)[1]


def picard(params: Params, positions: Array, method: filters.Method) -> Array:
    """One iteration: the positions under the forces of given ones."""
    _, force = coupled(params, positions)
    shape, start = force.shape, params["start"].ravel()
    system = params["omega"].ravel(), params["damping"].ravel(), DT
    drive, state = force.reshape(shape[0], -1), (jnp.zeros_like(start), start)
    # An explicit step forward: the force of step k is that of the positions before it.
    return filters.oscillator_filter(drive, *system, form="imex2", start=state, method=method)[1].reshape(shape)


def diagonal(params: Params, positions: Array, method: filters.Method) -> Array:
    """One iteration with forces linear in the oscillator's own position."""
    before, force = coupled(params, positions)
    own = jnp.diagonal(params["kernel"][1, 1])
    slope = (1 - force * force) * own
    stiffness, drag = params["omega"] - slope, 1 - DT * params["damping"]
    drive = DT * (force - slope * before)
    ones = jnp.ones_like(force)
    matrix = drag * ones, -DT * stiffness, DT * drag * ones, 1 - DT * DT * stiffness
    first = DT * drive
    state = jnp.zeros_like(params["start"]), params["start"]
    if method == "scan":

        def step(state, inputs):
            (a, b, c, d), f, g = inputs
            z, y = state
            state = a * z + b * y + f, c * z + d * y + g
            return state, state[1]

        return jax.lax.scan(step, state, (matrix, drive, first))[1]

    def then(left, right):
        (a, b, c, d, f, g), (i, j, k, l, m, n) = left, right
        merged = i * a + j * c, i * b + j * d, k * a + l * c, k * b + l * d
        return *merged, i * f + j * g + m, k * f + l * g + n

    a, b, c, d, f, g = jax.lax.associative_scan(then, (*matrix, drive, first))
    return c * state[0] + d * state[1] + g


ITERATIONS = {"picard": picard, "diagonal": diagonal}


def solve(name: str, params: Params, num_steps: int, count: int, method: filters.Method) -> Array:
    """`count` iterations from positions that stay at the start; gradients by as many of the adjoint iteration."""
    iteration = partial(ITERATIONS[name], method=method)

    @jax.custom_vjp
    def run(params):
        first = jnp.broadcast_to(params["start"], (num_steps, *params["start"].shape))
        return jax.lax.fori_loop(0, count, lambda _, x: iteration(params, x), first)

    def forward(params):
        found = run(params)
        return found, (params, found)

    def backward(residuals, cotangent):
        params, found = residuals
        transposed = jax.vjp(lambda x: iteration(params, x), found)[1]
        adjoint = jax.lax.fori_loop(0, count, lambda _, ct: cotangent + transposed(ct)[0], cotangent)
        return jax.vjp(lambda params: iteration(params, found), params)[1](adjoint)

    run.defvjp(forward, backward)
    return run(params)


def errors(name: str, params: Params, num_steps: int, most: int) -> np.ndarray:
    """Largest error after every iteration, relative to the largest position of the sequential run."""
    expected = sequential(params, num_steps)
    iteration = partial(ITERATIONS[name], method="scan")
    first = jnp.broadcast_to(params["start"], expected.shape)

    def step(positions, _):
        positions = iteration(params, positions)
        return positions, jnp.abs(positions - expected).max() / jnp.abs(expected).max()

    return np.asarray(jax.jit(lambda: jax.lax.scan(step, first, None, most)[1])())
