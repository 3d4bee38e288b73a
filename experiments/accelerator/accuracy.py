"""The public dynamics and their gradients: float32 on the device against float64 on the CPU."""

from collections.abc import Mapping
from functools import partial

import jax

from experiments import engine
from experiments.accelerator.parts import Entries, Entry
from experiments.bench import precision
from experiments.bench.aot import dynamics

# Columns of the table: where, and the precision of products.
WAYS = {
    "device": (None, "highest"),
    "high": (None, "high"),
    "default": (None, "default"),
    "cpu": ("cpu", "highest"),
}


def entries(smoke: bool) -> Entries:
    """One for each dynamics and direction: relative errors in float32 by `WAYS`."""
    names = ("attention_step",) if smoke else dynamics.DYNAMICS
    for name in names:
        for direction in dynamics.DIRECTIONS:
            yield f"{name} {direction}", partial(errors, name, direction)


def errors(name: str, direction: str) -> Entry:
    """The largest error of all results, each over its largest number; on a CPU of one precision: all are alike."""
    function, arrays, expected = precision.example(name, direction)
    ways = [way for way in WAYS if jax.default_backend() != "cpu" or way in ("device", "cpu")]

    def error(platform: str | None, products: str) -> float:
        with jax.default_device(jax.devices(platform)[0]), jax.default_matmul_precision(products):
            return precision.largest_error(jax.jit(function)(*arrays), expected)

    return {way: error(*WAYS[way]) for way in ways}


def table(found: Mapping[str, Entry]) -> str:
    """One line for each dynamics and direction."""
    rows = [[*key.rsplit(" ", 1), *_cells(entry)] for key, entry in found.items()]
    titles = ("float32 on the device", "products `high`", "products `default`", "float32 on the CPU")
    return engine.markdown.table(("dynamics", "direction", *titles), rows)


def _cells(entry: Entry) -> list[str]:
    return [entry["error"], *[""] * (len(WAYS) - 1)] if "error" in entry else [_told(entry.get(way)) for way in WAYS]


def _told(value: float | None) -> str:
    return "-" if value is None else f"{value:.1e}"
