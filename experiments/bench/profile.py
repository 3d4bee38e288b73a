"""Where the time of a training step goes: products, elementwise work, sums, copies, waiting.

A step runs on one device in a process of its own, under JAX's profiler. The compiled program says what each traced
operation is; a fusion is of the costliest kind that it holds. Where several run at the same time, each gets its share
of that time; what no operation covers is waiting.
"""

import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments import engine
from experiments.bench import akorn, harness, waves
from experiments.bench.aot import hlo

SIDE = "experiments.bench.profile:profiled"
WAITING = "waiting"
KINDS = ("products", "Fourier transforms", "collectives", "sums", "elementwise", "copies", "other", WAITING)
# Model -> module of its side, options; the sizes of the comparisons with PyTorch.
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "komplexnet": ("jax_komplexnet", {"batch_size": 128, "num_steps": 15, "kernel_size": 13}),
    "feedback": ("jax_komplexnet", {"batch_size": 128, "num_steps": 15, "kernel_size": 13, "feedback": True}),
    "gaspnet": ("jax_gaspnet", {"batch_size": 32, "num_steps": 6}),
    **{name: ("jax_waves", case) for name, case in waves.CASES.items()},
    **{f"akorn_{name}": ("jax_akorn", case) for name, case in akorn.CASES.items()},
}
_COPIES = {
    *("copy", "copy-start", "copy-done", "transpose", "reshape", "bitcast", "reverse", "broadcast", "iota", "convert"),
    *("slice", "dynamic-slice", "dynamic-update-slice", "gather", "concatenate", "pad"),
    *("parameter", "constant", "tuple", "get-tuple-element"),
}
_BY_OPCODE = {
    **dict.fromkeys(("dot", "convolution"), "products"),
    "fft": "Fourier transforms",
    **dict.fromkeys(("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute"), "collectives"),
    **dict.fromkeys(("reduce", "reduce-window", "scatter", "sort"), "sums"),
    **dict.fromkeys(_COPIES, "copies"),
}
_CONTROL = ("while", "conditional", "call")
_PRODUCT_CALLS = ("gemm", "matmul", "dot", "conv")  # in the names of a library's functions

Interval = tuple[float, float, str]  # start, end, name


def measure(names: Sequence[str], *, rounds: int, **sizes: int) -> Iterator[dict[str, Any]]:
    """Yield one row per model of `CASES`: milliseconds of a step without the profiler, shares of its time by kind.

    Args:
        names: models.
        rounds: steps that are traced, and as many that are timed.
        **sizes: replace those of the case.
    """
    for name in names:
        module, options = CASES[name]
        side = {"module": f"experiments.bench.{module}", "rounds": rounds, "options": options | sizes}
        with harness.Worker(SIDE, side) as worker:
            yield {"model": name, **options, **sizes} | worker.ask("facts")


def profiled(*, module: str, options: dict[str, Any], rounds: int) -> tuple[Callable[[], Any], dict[str, Any]]:
    """The side of a case: everything is measured while it is built."""
    import importlib

    import jax

    step, facts = importlib.import_module(module).train(**options, all_devices=False)
    step(), step()
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            start = time.perf_counter()
            for _ in range(rounds):
                step()
            traced = time.perf_counter() - start
        (path,) = Path(folder).rglob("*.xplane.pb")
        intervals = operations(jax.profiler.ProfileData.from_file(str(path)).planes)
    shares = by_kind(intervals, kinds(step.compiled.as_text()), traced)
    rest = {"milliseconds": 1e3 * statistics.median(seconds), "traced_milliseconds": 1e3 * traced / rounds}
    return lambda: None, facts | rest | {"shares": shares}


def operations(planes: Iterable[Any]) -> list[Interval]:
    """(start, end, name) in seconds of every traced operation of a program, of a CPU or another device.

    A CPU's operations may end on another thread: then an event of its own tells when.
    """
    begun, ends, found = {}, {}, []
    for plane in planes:
        for line in plane.lines:
            for event in line.events:
                facts = dict(event.stats)
                if event.name.startswith("end: "):
                    ends[facts.get("_c")] = event.start_ns / 1e9
                elif "hlo_op" in facts:
                    start = event.start_ns / 1e9
                    begun[len(found)] = facts.get("_p")
                    found.append((start, start + event.duration_ns / 1e9, str(facts["hlo_op"])))
    return [
        (start, max(end, ends.get(begun[i], end)) if begun[i] is not None else end, name)
        for i, (start, end, name) in enumerate(found)
    ]


def kinds(text: str) -> dict[str, str]:
    """The kind of every instruction of a compiled program, by its name; those that run others have none."""
    module = hlo.parse(text)
    return {
        each.name: _kind(module, each)
        for computation in module.computations.values()
        for each in computation.instructions.values()
        if each.opcode not in _CONTROL
    }


def _kind(module: hlo.Module, instruction: hlo.Instruction) -> str:
    if instruction.opcode == "custom-call":
        target = (instruction.attribute("custom_call_target") or instruction.rest).lower()
        return "products" if any(word in target for word in _PRODUCT_CALLS) else "other"
    if instruction.opcode != "fusion":
        return _BY_OPCODE.get(instruction.opcode, "elementwise")
    fused = [
        _kind(module, each)
        for name in instruction.called
        if name in module.computations
        for each in module.computations[name].instructions.values()
    ]
    return min(fused, key=KINDS.index, default="other")


def by_kind(intervals: Iterable[Interval], kinds: Mapping[str, str], total: float) -> dict[str, float]:
    """Share of `total` seconds by kind; of operations at the same time each has its part."""
    marks = []
    for start, end, name in intervals:
        if name in kinds and end > start:
            marks += [(start, 1, kinds[name]), (end, -1, kinds[name])]
    seconds, running, last = defaultdict(float), defaultdict(int), 0.0
    for at, change, kind in sorted(marks):
        if number := sum(running.values()):
            for each, count in running.items():
                seconds[each] += (at - last) * count / number
        running[kind] += change
        last = at
    seconds[WAITING] = max(0.0, total - sum(seconds.values()))
    whole = sum(seconds.values())
    return {kind: seconds[kind] / whole for kind in KINDS if kind in seconds}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows in Markdown: one line per model."""
    present = [kind for kind in KINDS if any(row["shares"].get(kind, 0) >= 0.005 for row in rows)]
    lines = [
        [row["model"], row["batch_size"], f"{row['milliseconds']:,.0f}"]
        + [f"{100 * row['shares'].get(kind, 0):.0f} %" for kind in present]
        for row in rows
    ]
    return engine.markdown.table(["model", "batch", "ms per step", *present], lines)
