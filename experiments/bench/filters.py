"""Time and memory of one LinOSS layer over sequence lengths, against `discretax` and the published layer.

The layer is x = Re(C y) + D u with P oscillators (form "im") under the force B u. Every side has the same parameters
and sequences, runs in a process of its own on one JAX device, and sides take turns. Timed are the layer, and the
gradient of a weighted sum of its output in the sequences and in all parameters. `oscnets` chooses its method by itself;
the four methods are sides too, which is the basis of that choice. `published` is the layer as its equations read: an
associative scan over the pairs (M, F B u) with the matrix M repeated at every step and the force complex.
"""

import importlib.util
import itertools
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments import engine
from experiments.bench import harness
from oscnets.dynamics import filters

SIDE = "experiments.bench.filters:side"
METHODS = tuple(method for method in get_args(filters.Method) if method != "auto")
SIDES = ("oscnets", "discretax", "published", *METHODS)
Params = dict[str, Any]
Element = tuple[Array, ...]  # entries of a matrix, then of a vector
Layer = Callable[[Params, Any], Any]  # parameters, (B, L, H) -> (B, L, H)


def layer_parameters(channels: int, units: int) -> Params:
    """Raw parameters as a layer begins: A and the step in [0, 1), B, C and D."""
    rng = np.random.default_rng(0)
    uniform = lambda bound, *shape: rng.uniform(-bound, bound, shape)  # noqa: E731
    params = {
        "stiffness": rng.uniform(size=units),
        "step": rng.uniform(size=units),
        "input_weights": uniform(channels**-0.5, units, channels, 2),
        "output_weights": uniform(units**-0.5, channels, units, 2),
        "feedthrough": rng.normal(size=channels),
    }
    return {name: x.astype(np.float32) for name, x in params.items()}


def layer(name: str, params: Params) -> Layer:
    """A side's layer; `params` give the sizes."""
    if name == "discretax":
        return _discretax(params)
    return _published if name == "published" else partial(_oscnets, "auto" if name == "oscnets" else name)


def _oscnets(method: filters.Method, params: Params, inputs: Array) -> Array:
    system = jax.nn.relu(params["stiffness"]), 0.0, jax.nn.sigmoid(params["step"])
    maps = (params[name] for name in ("input_weights", "output_weights", "feedthrough"))
    return filters.state_space(inputs, *system, *maps, form="im", method=method)


def _discretax(params: Params) -> Layer:
    import equinox as eqx
    from discretax.sequence_mixers import LinOSSSequenceMixer

    key = jax.random.key(0)
    units, channels, _ = params["input_weights"].shape
    mixer = LinOSSSequenceMixer(channels, key, state_dim=units, discretization="IM", damping=False)

    def run(params: Params, inputs: Array) -> Array:
        names = ("stiffness", "step", "input_weights", "output_weights", "feedthrough")
        values = [params[name] for name in names]
        own = eqx.tree_at(lambda m: [m.A_diag, m.steps, m.B, m.C, m.D], mixer, values)
        return jax.vmap(lambda x: own(x, key))(inputs)

    return run


def _published(params: Params, inputs: Array) -> Array:
    def then(first: Element, second: Element) -> Element:
        (a, b, c, d, f, g), (i, j, k, l, m, n) = first, second
        matrix = i * a + j * c, i * b + j * d, k * a + l * c, k * b + l * d
        return *matrix, i * f + j * g + m, k * f + l * g + n

    def one(inputs: Array) -> Array:
        stiffness, dt = jax.nn.relu(params["stiffness"]), jax.nn.sigmoid(params["step"])
        b, c = (jax.lax.complex(x[..., 0], x[..., 1]) for x in (params["input_weights"], params["output_weights"]))
        force = inputs @ b.T
        s = 1 / (1 + dt * dt * stiffness)
        matrix = (jnp.broadcast_to(x, force.shape) for x in (s, -dt * stiffness * s, dt * s, s))
        position = jax.lax.associative_scan(then, (*matrix, dt * s * force, dt * dt * s * force))[-1]
        return (position @ c.T).real + params["feedthrough"] * inputs

    return jax.vmap(one)(inputs)


def side(
    *, name: str, gradient: bool, length: int, batch_size: int, channels: int, units: int
) -> tuple[Callable[[], Any], dict[str, Any]]:
    """A `harness.Side`; facts: seconds of compilation, MiB of the compiler's temporaries."""
    engine.devices.configure_cpu_devices(1)
    params = jax.tree.map(jnp.asarray, layer_parameters(channels, units))
    inputs, weights = jax.random.normal(jax.random.key(0), (2, batch_size, length, channels))
    run = layer(name, params)
    loss = lambda params, inputs, weights: (run(params, inputs) * weights).sum()  # noqa: E731
    start = time.perf_counter()
    program = jax.jit(jax.grad(loss, (0, 1)) if gradient else lambda params, inputs, _: run(params, inputs))
    compiled = program.lower(params, inputs, weights).compile()
    facts = {
        "compile_seconds": time.perf_counter() - start,
        "temporary_mb": compiled.memory_analysis().temp_size_in_bytes / 2**20,
        "jax": jax.__version__,
        "device": jax.local_devices()[0].device_kind,
    }
    return lambda: jax.block_until_ready(compiled(params, inputs, weights)), facts


def present(names: Sequence[str]) -> list[str]:
    """Those of the sides that are installed."""
    return [name for name in names if name != "discretax" or importlib.util.find_spec(name) is not None]


def measure(
    lengths: Sequence[int], names: Sequence[str], *, batch_size: int, channels: int, rounds: int, limit: float
) -> Iterator[dict[str, Any]]:
    """Yield one row per length and program: seconds of each side, the median over rounds, and MiB of temporaries.

    Args:
        lengths: of the sequences.
        names: of sides.
        batch_size: sequences.
        channels: H, and P.
        rounds: turns of each side.
        limit: seconds of a side for a row, its compilation included; None is its figure where it had no turn then.
    """
    for length, gradient in itertools.product(lengths, (False, True)):
        case = {"length": length, "batch_size": batch_size, "channels": channels, "units": channels}
        case["gradient"], load = gradient, os.getloadavg()[0]
        seconds, facts = harness.race(SIDE, {name: case | {"name": name} for name in names}, rounds, limit)
        medians = {name: statistics.median(s) if (s := seconds.get(name)) else None for name in names}
        yield case | {"load": load, "limit": limit, "seconds": medians, "facts": facts}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows in Markdown: milliseconds, how many times as long a side took as ours, and MiB of temporaries."""
    names = list(rows[0]["seconds"])
    lines = []
    for row in rows:
        cells = [_cell(row, name) for name in names]
        lines.append([f"{row['length']:,}", "gradient" if row["gradient"] else "layer", *cells])
    return engine.markdown.table(["L", "program", *names], lines)


def _cell(row: dict[str, Any], name: str) -> str:
    seconds, ours = row["seconds"][name], row["seconds"].get("oscnets")
    if seconds is None:
        return f"over {row['limit']:g} s"
    ratio = f" ({_digits(seconds / ours)} x)" if ours and name != "oscnets" else ""
    memory = row["facts"][name].get("temporary_mb")
    return f"{_digits(1e3 * seconds)} ms{ratio}" + ("" if memory is None else f", {_digits(memory)} MiB")


def _digits(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
