"""Sides of a comparison that take turns, each in its own process.

A side is a function from its options to `(run, facts)`: `run()` does the work once and blocks until it is done, `facts`
is a dict to report. Compilation, threads and peak memory of the sides are thus separate. Questions and answers are
lines on its standard input and output.
"""

import importlib
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[2]
Run = Callable[[], Any]
Side = Callable[..., tuple[Run, dict[str, Any]]]


class SideError(RuntimeError):
    """A side's process ended before it answered."""


class Worker:
    """A side's process: a context manager that ends it.

    Args:
        side: "module:function", the function being a `Side`.
        options: its keyword arguments; JSON values.
    """

    def __init__(self, side: str, options: Mapping[str, Any]):
        from experiments.engine import hugepages  # not in the side's process, which imports no more than it needs

        self.side = side
        command = [sys.executable, "-m", "experiments.bench.worker", side, json.dumps(dict(options))]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        environment = {**os.environ, **hugepages.environment()}  # as an experiment has it; the same for every side
        self._process = subprocess.Popen(command, cwd=ROOT, env=environment, encoding="utf-8", **pipes)

    def ask(self, question: str) -> dict[str, Any]:
        """Send `run` or `facts`, wait, and return the answer; SideError if the process is gone."""
        try:
            self._process.stdin.write(question + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass
        answer = self._process.stdout.readline()
        if not answer:
            code = self._process.wait()
            raise SideError(f"{self.side} ended with status {code}; see its output above")
        return json.loads(answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


def serve(side: str, options: Mapping[str, Any]) -> None:
    """The loop of a side's process: build the side, then answer until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a library that prints must not break the answers
    module, name = side.split(":")
    run, facts = getattr(importlib.import_module(module), name)(**options)
    for question in map(str.strip, sys.stdin):
        if question == "run":
            start = time.perf_counter()
            run()
            answer = {"seconds": time.perf_counter() - start}
        else:
            answer = {**facts, "peak_rss_mb": peak_rss_mb()}
        print(json.dumps(answer), file=answers, flush=True)


def peak_rss_mb() -> float:
    """Largest resident memory of this process so far, in 2**20 bytes; NaN on Windows."""
    status = Path("/proc/self/status")
    if status.exists():  # not getrusage, whose maximum a process inherits from the one that started it
        (line,) = [line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) / 2**10
    try:
        import resource
    except ModuleNotFoundError:
        return math.nan
    scale = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


def alternate(workers: Mapping[str, Worker], rounds: int) -> dict[str, list[float]]:
    """Seconds of every run that is timed, by name: `rounds` turns of every worker.

    A turn is two runs, of which the second counts: a system takes back the memory of a process that waits, so that the
    first run after the others' turns is slower than any run of a program that works without a pause.
    """
    seconds = {name: [] for name in workers}
    for _ in range(rounds):
        for name, worker in workers.items():
            worker.ask("run")
            seconds[name].append(worker.ask("run")["seconds"])
    return seconds


def case(
    mine: list[float],
    peer: list[float] | None,
    sizes: Mapping[str, int],
    facts: Mapping[str, Any],
    peer_facts: Mapping[str, Any],
) -> dict[str, Any]:
    """One entry of a report.

    Args:
        mine, peer: seconds of every round; None where no peer ran; its figures then are None.
        sizes: options of the sides; `batch_size` images per run.
        facts, peer_facts: reports of the sides; `compile_seconds` and `peak_rss_mb` of the first.
    """
    speed, other = (sizes["batch_size"] / statistics.median(s) if s else None for s in (mine, peer))
    return {
        "images_per_second": speed,
        "peer_images_per_second": other,
        "ratio": speed / other if other else None,
        "compile_seconds": facts["compile_seconds"],
        "peak_rss_mb": facts["peak_rss_mb"],
        "milliseconds": [1e3 * s for s in mine],
        "peer_milliseconds": [1e3 * s for s in peer or []],
        "sizes": dict(sizes),
        "facts": dict(facts),
        "peer_facts": dict(peer_facts),
    }
