"""Time and memory of one LinOSS layer by sequence length, against `discretax` and the published layer.

The layer is x = Re(C y) + D u with P oscillators (form "im") under the force B u. Every side has the same parameters and
sequences, runs in a process of its own on one JAX device, and sides take turns. Timed are the layer, and the gradient
of a weighted sum of its output in the sequences and in all parameters. `published` is the layer as its equations read:
an associative scan over the pairs (M, F B u) with the matrix M repeated at every step and the force complex.
"""

import importlib.util
import itertools
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from experiments import engine
from experiments.bench import harness

SIDE = "experiments.bench.filters:side"
SIDES = ("oscnets", "discretax", "published")
Params = dict[str, Any]
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
    return {"oscnets": _oscnets, "discretax": _discretax, "published": _published}[name](params)


def _oscnets(_: Params) -> Layer:
    import jax

    from oscnets.dynamics import filters

    def run(params: Params, inputs):
        system = jax.nn.relu(params["stiffness"]), 0.0, jax.nn.sigmoid(params["step"])
        maps = (params[name] for name in ("input_weights", "output_weights", "feedthrough"))
        return filters.state_space(inputs, *system, *maps, form="im")

    return run


def _discretax(params: Params) -> Layer:
    import equinox as eqx
    import jax
    from discretax.sequence_mixers import LinOSSSequenceMixer

    key = jax.random.key(0)
    units, channels, _ = params["input_weights"].shape
    mixer = LinOSSSequenceMixer(channels, key, state_dim=units, discretization="IM", damping=False)

    def run(params: Params, inputs):
        names = ("stiffness", "step", "input_weights", "output_weights", "feedthrough")
        values = [params[name] for name in names]
        own = eqx.tree_at(lambda m: [m.A_diag, m.steps, m.B, m.C, m.D], mixer, values)
        return jax.vmap(lambda x: own(x, key))(inputs)

    return run


def _published(_: Params) -> Layer:
    import jax
    import jax.numpy as jnp

    def then(first, second):
        (a, b, c, d, f, g), (i, j, k, l, m, n) = first, second
        matrix = i * a + j * c, i * b + j * d, k * a + l * c, k * b + l * d
        return *matrix, i * f + j * g + m, k * f + l * g + n

    def one(params: Params, inputs):
        stiffness, dt = jax.nn.relu(params["stiffness"]), jax.nn.sigmoid(params["step"])
        b, c = (jax.lax.complex(x[..., 0], x[..., 1]) for x in (params["input_weights"], params["output_weights"]))
        force = inputs @ b.T
        s = 1 / (1 + dt * dt * stiffness)
        matrix = s, -dt * stiffness * s, dt * s, s
        elements = *(jnp.broadcast_to(x, force.shape) for x in matrix), dt * s * force, dt * dt * s * force
        position = jax.lax.associative_scan(then, elements)[-1]
        return (position @ c.T).real + params["feedthrough"] * inputs

    return jax.vmap(one, (None, 0))


def side(
    *, name: str, gradient: bool, length: int, batch_size: int, channels: int, units: int
) -> tuple[Callable[[], Any], dict[str, Any]]:
    """A `harness.Side`; facts: seconds of compilation, MiB of the compiler's temporaries."""
    import jax
    import jax.numpy as jnp

    engine.devices.configure_cpu_devices(1)
    params = jax.tree.map(jnp.asarray, layer_parameters(channels, units))
    inputs, weights = jax.random.normal(jax.random.key(0), (2, batch_size, length, channels))
    run = layer(name, params)
    if gradient:
        run = jax.grad(lambda params, inputs: (layer(name, params)(params, inputs) * weights).sum(), (0, 1))
    start = time.perf_counter()
    compiled = jax.jit(run).lower(params, inputs).compile()
    facts = {"compile_seconds": time.perf_counter() - start, "jax": jax.__version__}
    facts["temporary_mb"] = compiled.memory_analysis().temp_size_in_bytes / 2**20
    facts["device"] = jax.local_devices()[0].device_kind
    return lambda: jax.block_until_ready(compiled(params, inputs)), facts


def present(names: Sequence[str]) -> list[str]:
    """Those of the sides that are installed."""
    return [name for name in names if name != "discretax" or importlib.util.find_spec(name) is not None]
