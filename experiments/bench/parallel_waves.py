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
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from experiments import engine
from experiments.bench import waves as scenes
from oscnets import models, weights
from oscnets.dynamics import filters, waves
from oscnets.models import pixel_head

SOLVERS = ("picard", "diagonal")
TOLERANCES = (1e-5, 1e-6)
DT = 0.1  # of the network
Params = dict[str, Array]  # kernel; omega, damping and start, (B, H, W, C)


def network(source: str, channels: int | None, size: int, batch_size: int = 1) -> Params:
    """Kernel, frequencies, damping and first positions that a network gives to pictures of one disk each.

    Args:
        source: "trained", the package's network of 2 channels, or "initial".
        channels: C, of an initial network.
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

    swap = partial(jnp.swapaxes, axis1=0, axis2=3)  # between (B, H, W, C) and the encoders' (C, H, W, B)

    def encoded(name: str, features: Sequence[int], last: str) -> Array:
        encoder = pixel_head.Encoder((*features, channels), last)
        return swap(encoder.apply({"params": params[name]}, swap(images)))

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

    *_, c, d, _, g = jax.lax.associative_scan(then, (*matrix, drive, first))
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


def iterations(
    name: str, params: Params, num_steps: int, tolerances: tuple[float, ...] = TOLERANCES
) -> list[int | None]:
    """Iterations until no position errs by more than each tolerance; None where T of them do not suffice.

    Errors are relative to the largest position of the sequential run; tolerances fall.
    """

    @jax.jit
    def count(params):
        expected = sequential(params, num_steps)
        size = jnp.abs(expected).max()

        def unfinished(state):
            _, found, n = state
            return (n < num_steps) & (found[-1] == 0)

        def step(state):
            positions, found, n = state
            positions = ITERATIONS[name](params, positions, "scan")
            error = jnp.abs(positions - expected).max() / size
            reached = (found == 0) & (error <= jnp.asarray(tolerances))
            return positions, jnp.where(reached, n + 1, found), n + 1

        start = jnp.broadcast_to(params["start"], expected.shape), jnp.zeros(len(tolerances), int), 0
        return jax.lax.while_loop(unfinished, step, start)[1]

    return [int(n) or None for n in count(params)]


def milliseconds(params: Params, num_steps: int, counts: dict[str, int | None], rounds: int) -> dict[str, Any]:
    """Milliseconds of the loop and of every solver, forward and with the gradient in all parameters, in turns.

    Args:
        params: of `network`.
        num_steps: T.
        counts: iterations of each solver, also of its adjoint; one without is left out.
        rounds: turns, of which the median counts.
    """
    functions = {"loop": partial(sequential, num_steps=num_steps)}
    for name, count in counts.items():
        if count is not None:
            functions[name] = partial(solve, name, num_steps=num_steps, count=count, method="scan")
    runs = {}
    for name, fn in functions.items():
        gradient = jax.value_and_grad(lambda params, fn=fn: jnp.square(fn(params)).sum())
        runs |= {(name, "forward"): jax.jit(fn), (name, "gradient"): jax.jit(gradient)}
    taken = {key: [] for key in runs}
    for turn, (key, run) in itertools.product(range(rounds + 1), runs.items()):
        start = time.perf_counter()
        jax.block_until_ready(run(params))
        if turn:  # the first compiles
            taken[key].append(1e3 * (time.perf_counter() - start))
    medians = {key: statistics.median(times) for key, times in taken.items()}
    return {part: {name: medians[name, part] for name in functions} for part in ("forward", "gradient")}


def measure(
    sizes: Sequence[int], lengths: Sequence[int], channels: Sequence[int], *, rounds: int, largest: int = 1_500_000
) -> Iterator[dict[str, Any]]:
    """Yield one row per network, size of the image and T, for one picture.

    Args:
        sizes: of the image, pixels.
        lengths: T.
        channels: of networks as they begin; the trained one comes first, and it alone is timed.
        rounds: turns.
        largest: positions of a run, T times pixels times channels; larger ones are left out.
    """
    networks = [("trained", None), *(("initial", count) for count in channels)]
    for (source, count), size, num_steps in itertools.product(networks, sizes, lengths):
        params = network(source, count, size)
        if params["start"].size * num_steps > largest:
            continue
        found = {name: iterations(name, params, num_steps) for name in SOLVERS}
        case = {"weights": source, "channels": params["start"].shape[-1], "size": size, "num_steps": num_steps}
        times = {"forward": {}, "gradient": {}}
        if source == "trained":
            times = milliseconds(params, num_steps, {name: n for name, (n, _) in found.items()}, rounds)
        yield case | {"iterations": found, "milliseconds": times, "load": os.getloadavg()[0]}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows in Markdown: iterations to each tolerance, milliseconds, and how many times those of the loop."""
    parts = ("forward", "gradient")
    head = ["weights", "channels", "image", "T", *(f"{name}, iterations" for name in SOLVERS)]
    head += [f"{part}: {name}, ms" for part in parts for name in ("loop", *SOLVERS)]
    lines = []
    for row in rows:
        counts = ["/".join("-" if n is None else str(n) for n in row["iterations"][name]) for name in SOLVERS]
        times = [_cell(row["milliseconds"][part], name) for part in parts for name in ("loop", *SOLVERS)]
        lines.append([row["weights"], row["channels"], row["size"], f"{row['num_steps']:,}", *counts, *times])
    return engine.markdown.table(head, lines)


def _cell(times: dict[str, float], name: str) -> str:
    if name not in times:
        return "-"
    text = f"{times[name]:,.0f}" if times[name] >= 100 else f"{times[name]:.3g}"
    return text if name == "loop" else f"{text} ({times[name] / times['loop']:.3g} x)"
