"""`--profile`: some seconds of the training as a trace, and the share of that time in which the devices idle."""

import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jax

from experiments.engine.process import files

_SKIPPED = 2  # calls: the first ones compile
_SECONDS = 5.0
# Event of the thread of a CPU device while a program runs on it. Devices of other kinds have separate planes.
_CPU_LINE, _CPU_EVENT = "tf_XLAPjRtCpuClient", "ThunkExecutor::Execute (wait for completion)"

Spans = list[tuple[float, float]]


class Profile:
    """Traces the calls of a training, from the third on, for five seconds or to the end of the epoch; once.

    Args:
        directory: where the trace is written, for TensorBoard or Perfetto.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = files.user_path(directory)
        self._calls, self._since, self._done = 0, None, False

    def settled(self) -> None:
        """To be called after every call whose results have been read."""
        self._calls += 1
        if self._since is not None and time.monotonic() - self._since > _SECONDS:
            self.stop()
        elif self._since is None and not self._done and self._calls == _SKIPPED:
            options = jax.profiler.ProfileOptions()
            options.python_tracer_level = 0  # it would slow down what is measured
            jax.profiler.start_trace(str(self.directory), profiler_options=options)
            self._since = time.monotonic()

    def stop(self) -> None:
        """Write the trace, if one was begun, and print the share of idle time."""
        if self._since is None:
            return
        jax.profiler.stop_trace()
        self._since, self._done = None, True
        newest = max(self.directory.rglob("*.xplane.pb"), key=lambda path: path.stat().st_mtime)
        share, seconds = idle_share(jax.profiler.ProfileData.from_file(str(newest)), jax.local_device_count())
        result = f"devices idle {share:.1%} of {seconds:.2f} s" if seconds else "the trace shows no device at work"
        print(f"\nprofile: {result}; trace in {newest.parent}", file=sys.stderr)

    def close(self) -> None:
        """Report where no trace was taken."""
        if not self._done:
            print("profile: there was too little training to trace", file=sys.stderr)


def idle_share(trace: Any, cpus: int) -> tuple[float, float]:
    """The share of time in which the devices run nothing, and the seconds from the first thing run to the last.

    Args:
        trace: a `jax.profiler.ProfileData`, or an object with its planes, lines and events.
        cpus: number of devices that share the threads of the CPU, where there are no others.
    """
    devices = [plane for plane in trace.planes if plane.name.startswith("/device:") and list(plane.lines)]
    events = ([_span(event) for line in plane.lines for event in line.events] for plane in devices)
    spans = list(filter(None, map(_merged, events if devices else _cpu_spans(trace.planes))))
    if not spans:
        return 1.0, 0.0
    whole = max(each[-1][1] for each in spans) - min(each[0][0] for each in spans)
    busy = sum(end - start for each in spans for start, end in each)
    return 1 - busy / (whole * (len(spans) if devices else cpus)), whole / 1e9


def _cpu_spans(planes: Iterable[Any]) -> Iterator[Spans]:
    """Spans [ns] in which something runs, a list a thread; a device's calls are on any of them."""
    for plane in planes:
        for line in plane.lines:
            if line.name.startswith(_CPU_LINE):
                yield [_span(event) for event in line.events if event.name == _CPU_EVENT]


def _span(event):
    return event.start_ns, event.start_ns + event.duration_ns


def _merged(spans: Iterable[tuple[float, float]]) -> Spans:
    merged: Spans = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged
