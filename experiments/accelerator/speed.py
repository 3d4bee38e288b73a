"""Training steps in turns with eager and compiled PyTorch on the same device."""

import importlib.util
import statistics
from collections.abc import Mapping
from functools import partial
from typing import Any

from experiments import engine
from experiments.accelerator.parts import Entries, Entry
from experiments.bench import gaspnet, harness, komplexnet, waves

ROUNDS = 5
SIZES = {
    "komplexnet": {"batch_size": 128, "num_steps": 15, "kernel_size": 13},
    "gaspnet": {"batch_size": 32, "num_steps": 6},
    **{case: {"batch_size": 64} for case in waves.CASES},
    "wave_machine_large": {"batch_size": 16},
}
SMOKE = {"conv_lstm": {"batch_size": 4, "num_steps": 2, "size": 8}}


def entries(smoke: bool) -> Entries:
    """One for each model: `cases`, see `experiments.bench.komplexnet.measure`."""
    for name, sizes in (SMOKE if smoke else SIZES).items():
        yield name, partial(measure, name, sizes, rounds=1 if smoke else ROUNDS, compiled=not smoke)


def measure(name: str, sizes: Mapping[str, int], *, rounds: int, compiled: bool) -> Entry:
    """The cases of a model; without PyTorch, or without its compiler, `skipped` says so."""
    if importlib.util.find_spec("torch") is None:
        return {"cases": _compare(name, sizes, rounds=rounds, peer=False), "skipped": "PyTorch is not installed"}
    try:
        return {"cases": _compare(name, sizes, rounds=rounds, peer=True, compiled=compiled)}
    except harness.SideError as error:
        if not compiled:
            raise
        return {"cases": _compare(name, sizes, rounds=rounds, peer=True), "skipped": f"compiled PyTorch: {error}"}


def _compare(name: str, sizes: Mapping[str, Any], **options: Any) -> dict[str, Any]:
    if name in waves.CASES:
        return waves.compare(cases=[name], **options, **sizes)
    return {"komplexnet": komplexnet, "gaspnet": gaspnet}[name].compare(**options, **sizes)


def table(found: Mapping[str, Entry]) -> str:
    """One line for each case."""
    rows = []
    for name, entry in found.items():
        if "error" in entry:
            rows.append([name, "", entry["error"], "", "", "", ""])
            continue
        for case, figures in entry["cases"].items():
            ms = [statistics.median(x) if x else None for x in (figures["milliseconds"], figures["peer_milliseconds"])]
            others = [(figures.get(kind) or {}).get("milliseconds") for kind in ("plain", "compiled")]
            ms += [statistics.median(x) if x else None for x in others]
            cells = ["-" if value is None else f"{value:.3g}" for value in ms]
            rows.append([case, figures["sizes"]["batch_size"], *cells, entry.get("skipped", "")])
    head = ("model", "batch", "JAX, ms", "PyTorch for speed, ms", "as the equations read, ms", "compiled, ms", "")
    return engine.markdown.table(head, rows)
