"""Processes whose main thread does not hear signals: python -m tests.experiments.engine.deaf NAME...

For each of CASES a JSON line: its name, the exit status, and what it said on stdout and stderr. Importing costs
seconds, so the processes are forks of this one. Native code keeps the main thread busy, as a compilation does: handlers
of Python do not run meanwhile.
"""

import hashlib
import json
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from experiments.engine.process import signals as stop
from experiments.engine.process.errors import CheckpointError


def say(*words):
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def native_code(rounds):
    hashlib.pbkdf2_hmac("sha256", b"", b"", rounds)


def tell(*signals):
    """Send this process some signals, a tenth of a second between them."""

    def run():
        for name in signals:
            time.sleep(0.1)
            os.kill(os.getpid(), signal.Signals[name])

    threading.Thread(target=run, daemon=True).start()


def stuck(running):
    tell("SIGTERM")
    native_code(2**31 - 1)


def told_twice(running):
    stop._PATIENCE = 50
    tell("SIGINT", "SIGINT")
    native_code(2**31 - 1)


def saving(running):
    tell("SIGTERM")
    with running.saving:
        native_code(10**6)
        say("saved")
    native_code(2**31 - 1)


def rescued(running):
    def rescue():
        with running.saving:
            native_code(10**6)
            say("saved")

    running.rescue = rescue
    stuck(running)


def unsaved(running):
    def rescue():
        raise CheckpointError("the disk is full")

    running.rescue = rescue
    stuck(running)


def beyond_rescue(running):
    stop._RESCUE = 0.2
    running.rescue = lambda: time.sleep(1000)
    stuck(running)


def leaving(running):
    tell("SIGTERM")
    while not running.signum:
        time.sleep(0.01)
    running.__exit__(None, None, None)
    time.sleep(2 * stop._PATIENCE)
    say("alive", signal.getsignal(signal.SIGTERM) is signal.SIG_DFL, signal.set_wakeup_fd(-1))
    os._exit(7)


CASES = {
    function.__name__: function for function in (stuck, told_twice, saving, rescued, unsaved, beyond_rescue, leaving)
}


def live(function):
    """A process of its own for a function; exit status, stdout and stderr."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        pid = os.fork()
        if not pid:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            with stop.enforced(Path("/a/b")), stop.Stop() as running:
                function(running)
            os._exit(9)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return status, *(os.pread(file.fileno(), 10**5, 0).decode() for file in (out, err))


if __name__ == "__main__":
    stop._PATIENCE = 0.2
    for name in sys.argv[1:]:
        say(json.dumps([name, *live(CASES[name])]))
