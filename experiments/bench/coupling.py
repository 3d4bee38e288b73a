"""Times of the neighbourhood sum by each method, over sizes of image, kernel and batch: the basis of `method="auto"`.

Timed is the sum as in a training step, by `oscnets.dynamics.coupling.tune`: a complex field (real and imaginary parts
stacked along the batch) through `num_steps` sums with one prepared kernel, with the gradients in field and kernel.
Methods take turns within a case.
"""

import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax

from experiments import engine
from oscnets.dynamics import coupling

CHANNELS = 8
METHODS = coupling.METHODS


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

    A method whose run takes over `limit` seconds is skipped (None) in every case that is at least as large in all three
    sizes. Kernels larger than the image are left out altogether. In the end `auto` is as before any case was measured.
    """
    slow = []
    try:
        for case in itertools.product(sizes, kernel_sizes, batch_sizes):
            size, kernel_size, batch_size = case
            if kernel_size > size:
                continue
            too_slow = {method for method, smaller in slow if all(a <= b for a, b in zip(smaller, case, strict=True))}
            methods = [method for method in METHODS if method not in too_slow]
            image, kernel = (size, size), (kernel_size, kernel_size, CHANNELS, CHANNELS)
            row = {"size": size, "kernel_size": kernel_size, "batch_size": batch_size}
            row |= {"auto": coupling.choose_method(image, kernel), **dict.fromkeys(METHODS)}
            options = {"batch_size": 2 * batch_size, "methods": methods, "rounds": rounds, "num_steps": num_steps}
            seconds = coupling.tune(image, kernel, **options)
            slow += [(method, case) for method, each in seconds.items() if each * num_steps > limit]
            yield row | {method: 1e3 * each for method, each in seconds.items()}
    finally:
        coupling.forget()


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


Cases = dict[tuple[int, int, str], dict[str, tuple[float, str]]]


def compiled_cases(entries: Mapping[str, Mapping[str, Any]]) -> Cases:
    """The couplings among entries of `compile`: (image, kernel, device) -> method -> what `_least` tells of it."""
    cases: Cases = {}
    for key, entry in entries.items():
        found = re.fullmatch(r"dynamics/coupling_(\w+)_(\d+)_(\d+)/gradient/(\S+)", key)
        if found and "error" not in entry:
            cases.setdefault((int(found[2]), int(found[3]), found[4]), {})[found[1]] = _least(entry)
    return cases


def _least(entry: Mapping[str, Any]) -> tuple[float, str]:
    """Milliseconds per step that launches, memory or arithmetic take at least by themselves; which, and the kernels."""
    times = {name: seconds for name, seconds in entry["least_seconds"].items() if seconds is not None}
    largest, steps = max(times, key=lambda name: times[name]), entry["num_steps"]
    return 1e3 * times[largest] / steps, f"{largest}; {entry['kernels'] / steps:.0f} kernels"


def compiled_table(entries: Mapping[str, Mapping[str, Any]]) -> str:
    """The couplings among entries of `compile` in Markdown; the least time of a row in bold."""
    lines = []
    for case, by_method in sorted(compiled_cases(entries).items(), key=lambda item: (item[0][2], *item[0][:2])):
        best = min(by_method.values())[0]
        cells = {name: f"{_cell(least, least == best)} ({what})" for name, (least, what) in by_method.items()}
        lines.append([*map(str, case), *(cells.get(name, "-") for name in METHODS)])
    return engine.markdown.table(["image", "kernel", "device", *METHODS], lines)


def facts() -> dict[str, Any]:
    """Device and load of the machine."""
    device = jax.local_devices()[0]
    return {"jax": jax.__version__, "device": device.device_kind, "threads": os.cpu_count(), "load": os.getloadavg()[0]}
