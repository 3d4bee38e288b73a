"""The main dynamics by themselves, at the sizes of the papers, for `programs`."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from experiments.bench import parallel_waves
from oscnets.dynamics import agreement, coupling, filters, kuramoto, unroll, waves

DIRECTIONS = ("forward", "gradient")


class Dynamics(NamedTuple):
    """A trajectory.

    Attributes:
        function: of float32 arrays, differentiable in all of them.
        shapes: of the arrays.
        num_steps: of the dynamics; None where no loop goes over them.
        largest: numbers of the arrays, from 0 on, at which an error does not grow with the steps; None: 1 each.
    """

    function: Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...]
    num_steps: int | None
    largest: tuple[float, ...] | None = None


def _kuramoto(method: str, num_steps: int = 15) -> Dynamics:
    def run(phases, amplitude, kernel):
        options = {"rate": 0.006, "epsilon": 0.2, "num_steps": num_steps, "method": method}
        return kuramoto.conv_trajectory(phases, amplitude, kernel, **options)

    image = (128, 32, 32, 8)
    return Dynamics(run, (image, image, (13, 13, 8, 8)), num_steps, (2 * math.pi, 0.1, 1))


def _coupling(method: str, size: int, kernel_size: int, num_steps: int = 15) -> Dynamics:
    """Neighbourhood sums of a complex field of 32 images, one after the other, by one prepared kernel."""

    def run(field, kernel):
        uniform, batch_size = -1 / field[..., 0].size, field.shape[-1]
        prepared = coupling.prepare_kernel(kernel, (size, size), uniform=uniform, method=method, batch_size=batch_size)
        return unroll(lambda x: coupling.neighbourhood_sum(x, prepared), field, num_steps)[0]

    return Dynamics(run, ((size, size, 8, 64), (kernel_size, kernel_size, 8, 8)), num_steps)


def _graph(num_steps: int = 100) -> Dynamics:
    def run(phases, couplings):
        return kuramoto.graph_trajectory(phases, couplings, rate=0.1, num_steps=num_steps)

    return Dynamics(run, ((32, 256), (256, 256)), num_steps, (2 * math.pi, 1 / 256))


def _oscillators(gradient: str, num_steps: int = 100) -> Dynamics:
    def run(position, velocity, kernel, omega, damping):
        options = {"dt": 0.1, "num_steps": num_steps, "gradient": gradient}
        return waves.oscillator_trajectory(position, velocity, kernel, omega, damping, **options)[0]

    image = (64, 56, 56, 2)
    return Dynamics(run, (image, image, (3, 3, 2, 2), image, image), num_steps, (1, 1, 0.1, 1, 0.4))


def _membrane(num_steps: int = 500) -> Dynamics:
    def run(position, velocity, speed):
        step = lambda state: waves.wave_step(*state, speed=speed, dt=0.1)  # noqa: E731
        return unroll(step, (position, velocity), num_steps)[0]

    return Dynamics(run, ((8, 128, 128, 1), (8, 128, 128, 1), (128, 128, 1)), num_steps)


def _attention(num_steps: int = 6) -> Dynamics:
    layers, gains = ((16, 16), (8, 8), (128,), (10,)), agreement.Gains(1.5, -0.3, 0.5)
    units = 16 * 16 + 8 * 8 + 128 + 10

    def run(phases, queries, keys):
        step = partial(agreement.attention_step, queries=queries, keys=keys, layers=layers, gains=gains, rate=1.0)
        return unroll(step, phases, num_steps)[0]

    return Dynamics(run, ((32, units), (32, units, 32), (32, units, 32)), num_steps, (2 * math.pi, 1, 1))


def _sequence(length: int = 4096, channels: int = 64, units: int = 64) -> Dynamics:
    """A layer of LinOSS, in parallel over time."""
    run = partial(filters.state_space, damping=0.0, form="im")
    maps = ((units, channels, 2), (channels, units, 2), (channels,))

    def layer(inputs, stiffness, dt, weights, output_weights, through):
        given = {"input_weights": weights, "output_weights": output_weights, "feedthrough": through}
        return run(inputs, jax.nn.relu(stiffness), dt=jax.nn.sigmoid(dt), **given)

    return Dynamics(layer, ((8, length, channels), (units,), (units,), *maps), None)


def _all_steps(solver: str | None, num_steps: int = 100, size: int = 14) -> Dynamics:
    """The wave machine's run step by step, or of all steps at once to 1e-5: iterations are those on a CPU."""

    def run(kernel, omega, damping, start):
        params = {"kernel": kernel, "omega": omega, "damping": damping, "start": start}
        if solver is None:
            return parallel_waves.sequential(params, num_steps)
        return parallel_waves.solve(solver, params, num_steps, *_ITERATIONS[solver])

    image = (1, size, size, 2)
    return Dynamics(run, ((3, 3, 2, 2), image, image, image), num_steps if solver is None else None)


_ITERATIONS = {"picard": (38, "fft"), "diagonal": (27, "associative")}  # of the package's network at T = 100

DYNAMICS: dict[str, Callable[[], Dynamics]] = {
    **{f"conv_trajectory_{method}": partial(_kuramoto, method) for method in coupling.METHODS},
    "graph_trajectory": _graph,
    **{f"oscillator_trajectory_{way}": partial(_oscillators, way) for way in ("store", "checkpoint", "reverse")},
    "wave_step": _membrane,
    "attention_step": _attention,
    "state_space": _sequence,
    **{f"waves_{solver or 'loop'}": partial(_all_steps, solver) for solver in (None, *_ITERATIONS)},
}
# The coupling's methods over sizes of image and kernel: what `auto` is chosen from. Gradients only.
COUPLINGS: dict[str, Callable[[], Dynamics]] = {
    f"coupling_{method}_{size}_{kernel_size}": partial(_coupling, method, size, kernel_size)
    for size in (16, 32, 64, 128, 256)
    for kernel_size in (5, 13)
    for method in coupling.METHODS
}


def names() -> list[str]:
    """NAME/DIRECTION of every trajectory."""
    return [f"{name}/{way}" for name in DYNAMICS for way in DIRECTIONS] + [f"{name}/gradient" for name in COUPLINGS]


def program(name: str, direction: str) -> tuple[Callable[..., Any], tuple[jax.ShapeDtypeStruct, ...], int | None]:
    """A trajectory, or the gradient of its sum of squares in all arrays: function, arguments, steps."""
    function, shapes, num_steps, _ = (DYNAMICS | COUPLINGS)[name]()
    arguments = tuple(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes)
    if direction == "gradient":
        squares = lambda *arrays: sum(jnp.square(x).sum() for x in jax.tree.leaves(function(*arrays)))  # noqa: E731
        return jax.grad(squares, range(len(arguments))), arguments, num_steps
    return function, arguments, num_steps
