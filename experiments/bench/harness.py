"""Sides of a comparison that take turns, each in its own process.

A side is a function from its options to `(run, facts)`: `run()` does the work once and blocks until it is done, `facts`
is a dict to report. Compilation, threads and peak memory of the sides are thus separate. Questions and answers are
lines on its standard input and output.
"""

import contextlib
import importlib
import itertools
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[2]
TURN = 0.2  # seconds that a turn lasts at least
Run = Callable[[], Any]
Side = Callable[..., tuple[Run, dict[str, Any]]]


class SideError(RuntimeError):
    """A side's process ended before it answered."""


class SideTimeoutError(SideError):
    """A side's process was ended, since its time was up."""


class Worker:
    """A side's process: a context manager that ends it.

    Args:
        side: "module:function", the function being a `Side`.
        options: its keyword arguments; JSON values.
        limit: seconds for all its answers together, what it does before the first of them included.
    """

    def __init__(self, side: str, options: Mapping[str, Any], limit: float = math.inf):
        from experiments.engine import hugepages  # not in the side's process, which imports no more than it needs

        self.side, self.limit, self._left = side, limit, limit
        command = [sys.executable, "-m", "experiments.bench.worker", side, json.dumps(dict(options))]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        environment = {**os.environ, **hugepages.environment()}  # as an experiment has it; the same for every side
        options = {"cwd": ROOT, "env": environment, "encoding": "utf-8", "start_new_session": True}
        self._process = subprocess.Popen(command, **pipes, **options)

    def ask(self, question: str) -> dict[str, Any]:
        """Send `turn` or `facts`, wait, and return the answer; SideError if the process is gone."""
        start, timer = time.monotonic(), None
        if self._left < math.inf:
            timer = threading.Timer(max(self._left, 0), end, [self._process])
            timer.start()
        try:
            self._process.stdin.write(question + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        finally:
            if timer is not None:
                timer.cancel()
        self._left -= time.monotonic() - start
        if not answer:
            code = self._process.wait()
            if self._left <= 0:
                raise SideTimeoutError(f"{self.side} took over {self.limit:g} s")
            raise SideError(f"{self.side} ended with status {code}; see its output above")
        return json.loads(answer)

    def report(self) -> dict[str, Any]:
        """Wait until the side is built, and return its facts; empty where its time is up."""
        try:
            return self.ask("facts")
        except SideTimeoutError:
            return {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        end(self._process)
        self._process.communicate()


def end(process: subprocess.Popen) -> None:
    """End a process that began a session of its own, with the processes that it started."""
    if hasattr(os, "killpg") and process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()


def serve(side: str, options: Mapping[str, Any]) -> None:
    """The loop of a side's process: build the side, then answer until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a library that prints must not break the answers
    module, name = side.split(":")
    run, facts = getattr(importlib.import_module(module), name)(**options)
    for question in map(str.strip, sys.stdin):
        answer = {"seconds": turn(run)} if question == "turn" else {**facts, "peak_rss_mb": peak_rss_mb()}
        print(json.dumps(answer), file=answers, flush=True)


def turn(run: Run) -> float:
    """Seconds of a run, the median of a turn: one run that does not count, then runs for `TURN` seconds, at least one.

    A system takes back the memory of a process that waits, and its threads sleep: the first runs after the others'
    turns are slower than those of a program that works without a pause, by several times where a run takes
    milliseconds.
    """
    start = time.perf_counter()
    run()
    seconds = []
    while not seconds or time.perf_counter() - start < TURN:
        before = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - before)
    return statistics.median(seconds)


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
    """Seconds of a run, by name, one figure for each of `rounds` turns of every worker: see `turn`.

    A worker whose time is up has no further turn.
    """
    seconds, late = {name: [] for name in workers}, set()
    for _, (name, worker) in itertools.product(range(rounds), workers.items()):
        if name not in late:
            try:
                seconds[name].append(worker.ask("turn")["seconds"])
            except SideTimeoutError:
                late.add(name)
    return seconds


def race(
    side: str, options: Mapping[str, Mapping[str, Any]], rounds: int, limit: float
) -> tuple[dict[str, list[float]], dict[str, dict[str, Any]]]:
    """Sides that have a limit of time each: all are built, then they take turns.

    Args:
        side: as for `Worker`.
        options: of each side, by name.
        rounds: as for `alternate`.
        limit: as for `Worker`.

    Returns:
        Seconds of a run in every turn, and the last report of every side: both empty for a side that was not
        built in time.
    """
    with contextlib.ExitStack() as stack:
        workers = {name: stack.enter_context(Worker(side, values, limit)) for name, values in options.items()}
        built = {name: worker for name, worker in workers.items() if worker.report()}
        seconds = alternate(built, rounds)
        facts = {name: worker.report() for name, worker in built.items()}
    return {name: seconds.get(name, []) for name in options}, {name: facts.get(name, {}) for name in options}


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
