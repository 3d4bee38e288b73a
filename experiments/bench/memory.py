"""Memory and time of gradients through long unrolls of a Neural Wave Machine, by how they are computed.

Every case runs in a process of its own, so that its peak memory is measured alone. Timed is the gradient of the pixel
loss, on one device. The readout is the mean over time: a linear one has T / 2 + 1 features per channel, and its cost
would grow with the square of T and hide the memory of the waves. The waves are not damped, so that steps can be
inverted at any length; with damping they are inverted as far as rounding errors allow, and recomputed beyond.
"""

import itertools
import statistics
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from experiments import engine
from experiments.bench import harness, waves

SIDE = "experiments.bench.memory:gradient"
WAYS = tuple(itertools.product(("store", "checkpoint", "reverse"), (False, True)))  # memory, stream


def gradient(
    *, memory: str, stream: bool, num_steps: int, size: int, batch_size: int
) -> tuple[Callable[[], Any], dict[str, Any]]:
    """The side of a case; its facts: memory of the compiler's temporaries, and whether steps are inverted."""
    import jax
    import jax.numpy as jnp

    from experiments.waves import task as tasks
    from oscnets import models

    engine.devices.configure_cpu_devices(1)
    keep = "readout" if stream else "states"
    module = models.NeuralWaveMachine(num_steps=num_steps, readout="mean", gradient=memory, keep=keep)
    params = jax.jit(module.init)(jax.random.key(0), jnp.zeros((1, size, size, 1)))
    encoder = params["params"]["damping_encoder"]
    encoder["kernel_2"], encoder["bias_2"] = jnp.zeros_like(encoder["kernel_2"]), jnp.zeros_like(encoder["bias_2"])
    batch = waves.scenes(batch_size, size)
    loss = jax.grad(partial(tasks.loss, module), has_aux=True)
    compiled = jax.jit(lambda params, batch: loss(params, batch, None)[0]).lower(params, batch).compile()
    temporary = compiled.memory_analysis().temp_size_in_bytes
    inverted = jax.jit(lambda params, batch: module.apply(params, batch["images"]).inverted)(params, batch)
    facts = {"temporary_mb": temporary / 2**20, "inverted": inverted is not None and bool(inverted)}
    return lambda: jax.block_until_ready(compiled(params, batch)), facts


def measure(lengths: Sequence[int], *, size: int, batch_size: int, rounds: int) -> Iterator[dict[str, Any]]:
    """Yield one row per case: memory, stream, num_steps, size, batch_size, seconds (the median over rounds), MiB."""
    for num_steps, (memory, stream) in itertools.product(lengths, WAYS):
        case = {"memory": memory, "stream": stream, "num_steps": num_steps, "size": size, "batch_size": batch_size}
        with harness.Worker(SIDE, case) as worker:
            seconds = harness.alternate({"": worker}, rounds)[""]
            yield case | worker.ask("facts") | {"seconds": statistics.median(seconds)}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows in Markdown: one line per way to compute gradients, one column per number of steps."""
    lengths = sorted({row["num_steps"] for row in rows})
    head = ["gradients", "readout", *(f"T = {length:,}" for length in lengths)]
    lines = []
    for memory, stream in WAYS:
        cells = []
        for length in lengths:
            (row,) = (r for r in rows if (r["memory"], r["stream"], r["num_steps"]) == (memory, stream, length))
            kept = "" if memory != "reverse" or row["inverted"] else ", not inverted"
            cells.append(
                f"{row['temporary_mb']:,.0f} MiB, peak {row['peak_rss_mb']:,.0f}, {row['seconds']:.2f} s{kept}"
            )
        lines.append([memory, "summed up" if stream else "of all states", *cells])
    return engine.markdown.table(head, lines)
