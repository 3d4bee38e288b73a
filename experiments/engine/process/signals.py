"""Signals that ask the run to end: remembered for the training loop, and enforced where the loop cannot look."""

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import jax

from experiments.engine.process import hosts
from experiments.engine.process.errors import CheckpointError, Interrupted

_SIGNALS = signal.SIGINT, signal.SIGTERM
_LONGEST_NAP = 0.01  # seconds between two looks at the arrays that are waited for
_PATIENCE = 4.0  # seconds from a signal to the end, should the loop not see it
_RESCUE = 3.0  # seconds more for a state that is saved for it
LONG = 3.0  # seconds: several processes cannot save in the midst of work that takes longer, so that they do before


class Stop:
    """While entered, the first SIGINT or SIGTERM is remembered for the loop; the second one kills as usual.

    Args:
        workdir: of the run that the process exists for: a signal then ends the process within seconds, with the status
            that it stands for, and the message names the folder. Python runs handlers only between steps of its own, so
            that a process which compiles a program would not end before that is done. None: the process may not be
            ended.

    Attributes:
        saving: a lock, to be held while files are written that belong together.
        rescue: saves the newest good state, from another thread while this one is stuck; None: nothing to save.
    """

    def __init__(self, workdir: Path | None = None) -> None:
        self.saving = threading.Lock()
        self.rescue: Callable[[], None] | None = None
        self._workdir = workdir
        self._signum: int | None = None
        self._before: dict[int, object] = {}
        self._enforcer: _Enforcer | None = None

    def __enter__(self) -> "Stop":
        # Only the main thread may set handlers; elsewhere (a notebook's worker) signals are not ours to take.
        if threading.current_thread() is threading.main_thread():
            if self._workdir is not None:
                self._enforcer = _Enforcer(self._workdir, self)
            self._before = {number: signal.signal(number, self._remember) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._enforcer is not None:
            self._enforcer.close()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _remember(self, signum, frame):
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


class _Enforcer:
    """A thread that receives signals as numbers, which the handler of the system writes to a socket at once."""

    def __init__(self, workdir: Path, stop: Stop) -> None:
        self._workdir, self._stop = workdir, stop
        self._near, self._far = socket.socketpair()
        self._far.setblocking(False)
        self._former = signal.set_wakeup_fd(self._far.fileno(), warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._enforce, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread; signals no longer end the process."""
        signal.set_wakeup_fd(self._former)
        self._far.close()
        self._thread.join()
        self._near.close()

    def _enforce(self):
        signum = self._next()
        if signum is None:
            return
        with contextlib.suppress(TimeoutError):
            signum = self._next(time.monotonic() + _PATIENCE)
        if signum is None:
            return
        self._rescue()
        with self._stop.saving:
            print(f"\n{Interrupted(signum).advice(self._workdir)}", file=sys.stderr, flush=True)
            os._exit(128 + signum)

    def _rescue(self):
        """Save the newest state in a separate thread, which may get stuck too and is then left alone."""
        if (rescue := self._stop.rescue) is None or hosts.count() > 1:
            return

        def run():
            try:
                rescue()
            except CheckpointError as error:
                print(f"\nerror: {error}", file=sys.stderr, flush=True)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(_RESCUE)

    def _next(self, deadline=None):
        """The next signal that asks for an end; None when the socket is closed."""
        while True:
            self._near.settimeout(None if deadline is None else max(deadline - time.monotonic(), 1e-3))
            number = self._near.recv(1)
            if not number or number[0] in _SIGNALS:
                return number[0] if number else None
