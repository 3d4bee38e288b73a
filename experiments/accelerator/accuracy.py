"""The public dynamics and their gradients: float32 on the device against float64 on the CPU."""

from collections.abc import Mapping
from functools import partial

import jax
import numpy as np

from experiments import engine
from experiments.accelerator.golden import float64
from experiments.accelerator.parts import Entries, Entry
from experiments.bench.aot import dynamics

BATCH = 2  # examples: errors do not depend on their number


def entries(smoke: bool) -> Entries:
    """One for each dynamics and direction: `device` and `cpu`, relative errors in float32."""
    names = ("attention_step",) if smoke else dynamics.DYNAMICS
    for name in names:
        for direction in dynamics.DIRECTIONS:
            yield f"{name} {direction}", partial(errors, name, direction)


def errors(name: str, direction: str) -> Entry:
    """The largest error of all results, each over its largest number; of the device and of the CPU."""
    function, shapes, _ = dynamics.program(name, direction)
    whole, rng = shapes[0].shape[0], np.random.default_rng(0)
    sizes = [(BATCH if x.shape[0] == whole else x.shape[0], *x.shape[1:]) for x in shapes]
    arrays = [rng.uniform(size=size).astype(np.float32) for size in sizes]
    (cpu, *_), (device, *_) = jax.devices("cpu"), jax.devices()

    def on(where, arrays):
        with jax.default_device(where):
            return jax.tree.map(np.asarray, jax.tree.leaves(jax.jit(function)(*arrays)))

    with float64():
        expected = on(cpu, [x.astype(np.float64) for x in arrays])
    return {"device": _error(on(device, arrays), expected), "cpu": _error(on(cpu, arrays), expected)}


def _error(found: list[np.ndarray], expected: list[np.ndarray]) -> float:
    pairs = zip(found, expected, strict=True)
    return max(float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-30)) for a, b in pairs)


def table(found: Mapping[str, Entry]) -> str:
    """One line for each dynamics and direction."""
    rows = [
        [*key.rsplit(" ", 1), *([entry["error"], ""] if "error" in entry else [_told(entry[k]) for k in COLUMNS])]
        for key, entry in found.items()
    ]
    return engine.markdown.table(("dynamics", "direction", "float32 on the device", "float32 on the CPU"), rows)


COLUMNS = ("device", "cpu")


def _told(value: float) -> str:
    return f"{value:.1e}"
