"""Signals that ask the run to end: noted, so that the loop can finish its step and save."""

import signal
import sys
import threading
from types import TracebackType

from experiments.engine.errors import Interrupted


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
        print("\nstopping after this step and saving; once more aborts at once", file=sys.stderr, flush=True)

    @property
    def requested(self) -> bool:
        """Whether a signal has come."""
        return self._signum is not None

    def check(self) -> None:
        """Raise Interrupted if a signal has come."""
        if self._signum is not None:
            raise Interrupted(self._signum)
