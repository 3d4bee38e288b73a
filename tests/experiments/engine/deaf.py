"""Processes whose main thread runs native code: python -m tests.experiments.engine.deaf NAME...

For each of CASES a JSON line: its name, the exit status, stdout and stderr. Importing costs seconds, so the processes
are forks of this one. Native code keeps the main thread busy, as a compilation does: handlers of Python do not run
meanwhile.
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

from experiments.engine.process import signals
from experiments.engine.process.errors import CheckpointError


def say(*words):
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def native_code(rounds):
    hashlib.pbkdf2_hmac("sha256", b"", b"", rounds)


def send(*names):
    """Send this process some signals, a tenth of a second between them."""

    def run():
        for name in names:
            time.sleep(0.1)
            os.kill(os.getpid(), signal.Signals[name])

    threading.Thread(target=run, daemon=True).start()


def stuck(running):
    send("SIGTERM")
    native_code(2**31 - 1)


def signalled_twice(running):
    signals._PATIENCE = 50
    send("SIGINT", "SIGINT")
    native_code(2**31 - 1)


def saving(running):
    send("SIGTERM")
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
    signals._RESCUE = 0.2
    running.rescue = lambda: time.sleep(1000)
    stuck(running)


def leaving(running):
    send("SIGTERM")
    while not running.signum:
        time.sleep(0.01)
    running.__exit__(None, None, None)
    time.sleep(2 * signals._PATIENCE)
    say("alive", signal.getsignal(signal.SIGTERM) is signal.SIG_DFL, signal.set_wakeup_fd(-1))
    os._exit(7)


CASES = {
    function.__name__: function
    for function in (stuck, signalled_twice, saving, rescued, unsaved, beyond_rescue, leaving)
}


def live(function):
    """A process of its own for a function; exit status, stdout and stderr."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        pid = os.fork()
        if not pid:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            with signals.Stop(Path("/a/b")) as running:
                function(running)
            os._exit(9)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return status, *(os.pread(file.fileno(), 10**5, 0).decode() for file in (out, err))


if __name__ == "__main__":
    signals._PATIENCE = 0.2
    for name in sys.argv[1:]:
        say(json.dumps([name, *live(CASES[name])]))
