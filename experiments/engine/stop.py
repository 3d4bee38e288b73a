"""Signals that ask the run to end: noted, so that the loop can save and leave."""

import signal
import sys
import threading
import time
from types import TracebackType
from typing import Any

import jax

from experiments.engine import hosts
from experiments.engine.errors import Interrupted

_LONGEST_NAP = 0.01  # seconds between two looks at what is being computed


class Stop:
    """While entered, the first SIGINT or SIGTERM is noted for the loop to see; the second one kills as usual."""

    def __init__(self) -> None:
        self._signum: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> "Stop":
        # Only the main thread may set handlers; elsewhere (a notebook's worker) signals are not ours to take.
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, signum, frame):
        self._signum = signum
        for number in self._before:
            signal.signal(number, signal.SIG_DFL)
        print("\nsaving and stopping; once more aborts at once", file=sys.stderr, flush=True)

    @property
    def signum(self) -> int | None:
        """The signal that has come to this process, if one has."""
        return self._signum

    def check(self) -> None:
        """Raise Interrupted if a signal has come, to any process: all of them must come to this call together."""
        signum = int(hosts.agree([self._signum or 0]).max())
        if signum:
            raise Interrupted(signum)

    def wait(self, arrays: Any) -> None:
        """Wait until arrays are computed; raise Interrupted as soon as a signal has come.

        With several processes a signal is heeded before the wait only, where all of them can agree on it.
        """
        self.check()
        nap = 1e-4
        while hosts.count() == 1 and not all(leaf.is_ready() for leaf in jax.tree.leaves(arrays)):
            time.sleep(nap)
            nap = min(2 * nap, _LONGEST_NAP)
            self.check()
