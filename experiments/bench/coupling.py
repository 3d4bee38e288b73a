"""Times of the neighbourhood sum by each method, over sizes of image, kernel and batch: the basis of `method="auto"`.

Timed is the sum as in a training step: a complex field (real and imaginary parts stacked along the batch) through
`num_steps` sums with one prepared kernel, with the gradients in field and kernel. Methods take turns within a case.
"""

import itertools
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, get_args

import jax
import jax.numpy as jnp

from experiments import engine
from oscnets.dynamics import coupling, unroll

CHANNELS = 8


def build(method: str, size: int, kernel_size: int, batch_size: int, num_steps: int) -> Callable[[], Any]:
    """A compiled, warm run of one method on one case."""
    keys = jax.random.split(jax.random.key(0))
    kernel = jax.random.normal(keys[0], (kernel_size, kernel_size, CHANNELS, CHANNELS)) / (kernel_size * CHANNELS)
    field = jax.random.normal(keys[1], (size, size, CHANNELS, 2 * batch_size))

    @partial(jax.grad, argnums=(0, 1))
    def gradients(field, kernel):
        prepared = coupling.prepare_kernel(kernel, (size, size), uniform=-0.2 / field[..., 0].size, method=method)
        last, _ = unroll(lambda x: coupling.neighbourhood_sum(x, prepared), field, num_steps)
        return jnp.square(last).sum()

    compiled = jax.jit(gradients).lower(field, kernel).compile()
    return lambda: jax.block_until_ready(compiled(field, kernel))


def measure(
    sizes: Sequence[int],
    kernel_sizes: Sequence[int],
    batch_sizes: Sequence[int],
    *,
    rounds: int = 5,
    num_steps: int = 3,
    limit: float = 5.0,
) -> Iterator[dict[str, Any]]:
    """Yield one row per case: sizes, and milliseconds per step of the dynamics by method, the median over rounds.

    A method whose first run takes over `limit` seconds is not run again in that case: that run is its figure. It is
    skipped (None) in every case that is at least as large in all three sizes. Kernels larger than the image are left
    out altogether.
    """
    methods = [method for method in get_args(coupling.Method) if method != "auto"]
    slow = []
    for case in itertools.product(sizes, kernel_sizes, batch_sizes):
        size, kernel_size, batch_size = case
        if kernel_size > size:
            continue
        too_slow = {method for method, smaller in slow if all(a <= b for a, b in zip(smaller, case, strict=True))}
        runs = {method: build(method, *case, num_steps) for method in methods if method not in too_slow}
        taken = {method: [_seconds(run)] for method, run in runs.items()}
        slow += [(method, case) for method, (first,) in taken.items() if first > limit]
        for _, (method, run) in itertools.product(range(rounds), runs.items()):
            if (method, case) not in slow:
                taken[method].append(_seconds(run))
        figures = {method: 1e3 * statistics.median(taken[method][-rounds:]) / num_steps for method in runs}
        chosen = coupling.choose_method((size, size))
        row = {"size": size, "kernel_size": kernel_size, "batch_size": batch_size, "auto": chosen}
        yield row | dict.fromkeys(methods) | figures


def _seconds(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows in Markdown; the fastest method of a row in bold."""
    names = [name for name in rows[0] if name not in ("size", "kernel_size", "batch_size", "auto")]
    lines = []
    for row in rows:
        best = min(row[name] for name in names if row[name] is not None)
        figures = [_cell(row[name], row[name] == best) for name in names]
        lines.append([*_case(row), *figures, row["auto"]])
    return engine.markdown.table(["image", "kernel", "batch", *names, "auto"], lines)


def _case(row: dict[str, Any]) -> tuple[int, int, int]:
    return row["size"], row["kernel_size"], row["batch_size"]


def _cell(milliseconds: float | None, best: bool) -> str:
    if milliseconds is None:
        return "-"
    text = f"{milliseconds:.0f}" if milliseconds >= 100 else f"{milliseconds:.3g}"
    return f"**{text}**" if best else text


def facts() -> dict[str, Any]:
    """Device and load of the machine."""
    device = jax.local_devices()[0]
    return {"jax": jax.__version__, "device": device.device_kind, "threads": os.cpu_count(), "load": os.getloadavg()[0]}
