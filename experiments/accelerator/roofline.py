"""What the device gives at best, measured, and the share of it that the training steps reach."""

import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from experiments import engine
from experiments.accelerator.parts import Entries, Entry
from experiments.bench.aot import arithmetic, kernels, programs

PEAKS = ("product highest", "product default", "product bfloat16", "copy")


def entries(smoke: bool) -> Entries:
    """Of products `flops` and of a copy `bytes`, a second; of each program what it does, and its time."""
    for name in PEAKS[:3]:
        yield name, partial(product, name.split(" ")[1], 256 if smoke else 8192)
    yield PEAKS[3], partial(copy, 2**20 if smoke else 2**30)
    names, scale = (programs.MAIN[:1], "smoke") if smoke else (programs.MAIN, "paper")
    for name in names:
        yield name, partial(step, name, scale)


def product(kind: str, size: int) -> Entry:
    """FLOP/s of a square product of float32 at a precision, or of bfloat16."""
    dtype, precision = (jnp.bfloat16, "default") if kind == "bfloat16" else (jnp.float32, kind)
    matrix = jnp.full((size, size), 0.5, dtype)
    seconds = timed(jax.jit(lambda x: jnp.matmul(x, x, precision=precision)), matrix)
    return {"flops": 2 * size**3 / seconds, "seconds": seconds}


def copy(size: int) -> Entry:
    """Bytes/s, read and written, of a copy of so many bytes."""
    seconds = timed(jax.jit(lambda x: x + 1), jnp.zeros(size // 4, jnp.float32))
    return {"bytes": 2 * size / seconds, "seconds": seconds}


def step(name: str, scale: str) -> Entry:
    """A training step as the engine would fit it: its arithmetic and bytes by the compiled program, and its time."""
    devices, lowered = jax.devices()[:1], {}

    def compiled(program):
        lowered["text"] = (made := program.function.lower(*program.arguments)).as_text("hlo")
        return made.compile()

    mesh = engine.devices.make_mesh(1, 1, devices)
    choices = programs.builds(name, devices, scale)
    program, executable = engine.fit.fitting(choices, compiled, engine.fit.memory.limit(mesh))
    found, operations = kernels.count(executable.as_text()), arithmetic.flops(lowered["text"])
    seconds = timed(executable, *jax.tree.map(_filled, program.arguments))
    return {
        "seconds": seconds,
        "flops": operations.total,
        "highest": operations.highest,
        "bytes": found.bytes,
        "kernels": found.kernels,
        "program_bytes": engine.fit.size(executable),
        **program.sizes,
    }


def _filled(shape: jax.ShapeDtypeStruct) -> jax.Array:
    value = 0.1 if jnp.issubdtype(shape.dtype, jnp.inexact) else 0
    return jax.device_put(jnp.full(shape.shape, value, shape.dtype), shape.sharding)


def timed(function: Callable[..., Any], *arguments: Any, at_least: float = 0.2) -> float:
    """Seconds of a call: the median of five turns, each of so many calls that it takes `at_least` seconds."""
    call = lambda: jax.block_until_ready(function(*arguments))  # noqa: E731
    call()
    began = time.perf_counter()
    call()
    count = max(1, round(at_least / (time.perf_counter() - began)))
    turns, last = [], None
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(count):
            last = function(*arguments)
        jax.block_until_ready(last)
        turns.append((time.perf_counter() - began) / count)
    return statistics.median(turns)


def table(found: Mapping[str, Entry]) -> str:
    """What the device gives, then one line for each step: the least time by each, and the share that it takes."""
    peaks = {name: found[name] for name in PEAKS if "error" not in found.get(name, {"error": ""})}
    rows = [
        [name, f"{entry['bytes' if name == 'copy' else 'flops'] / 1e12:.3g} {'TB/s' if name == 'copy' else 'TFLOP/s'}"]
        for name, entry in peaks.items()
    ]
    parts = [engine.markdown.table(("measured", "at best"), rows)]
    steps = [_row(name, entry, peaks) for name, entry in found.items() if name not in PEAKS]
    head = ("step", "ms", "arithmetic at least, ms", "memory at least, ms", "share of the roofline")
    return "\n\n".join([*parts, engine.markdown.table(head, steps)])


def _row(name: str, entry: Entry, peaks: Mapping[str, Entry]) -> list[str]:
    if "error" in entry or not {"product highest", "product default", "copy"} <= peaks.keys():
        return [name, entry.get("error", "-"), "", "", ""]
    exact, fast = (peaks[f"product {kind}"]["flops"] for kind in ("highest", "default"))
    least = [
        entry["highest"] / exact + (entry["flops"] - entry["highest"]) / fast,
        entry["bytes"] / peaks["copy"]["bytes"],
    ]
    share = f"{max(least) / entry['seconds']:.0%}"
    return [name, f"{1e3 * entry['seconds']:.3g}", *(f"{1e3 * value:.3g}" for value in least), share]
