"""Runs the toy experiment again and again in processes that are killed or told to stop.

python -m tests.engine.killer FATES ARGUMENT... ; FATES is a JSON list, a fate a process: ["after", seconds, "SIGKILL"],
or [function, n, signal, ...], which sends itself the signals in the n-th call of one of POINTS, or ["none"]. Prints a
JSON line a process: its fate, how it ended, and how many lines of metrics.jsonl it left. Importing costs seconds, so
the processes are forks of this one, made before JAX starts anything.
"""

import json
import os
import signal
import sys
import time
import types

from experiments.engine import checkpoint, log
from tests.engine import toy


def meeting(function, n, signals, before):
    """The function, which on its n-th call sends the process signals; before SIGKILL it is left half done."""
    calls = iter(range(1, 10**9))

    def replacement(*args, **kwargs):
        if next(calls) == n:
            for name in signals:
                if name == "SIGKILL":
                    before(*args, **kwargs)
                os.kill(os.getpid(), signal.Signals[name])
        return function(*args, **kwargs)

    return replacement


def half_write(log, lines):
    text = "".join(json.dumps(entry) + "\n" for entry in lines)
    log._file.write(text[: len(text) // 2 + 3].encode())


POINTS = {
    "write": (log.MetricsLog, half_write),  # half of the lines are in the file
    "save": (checkpoint.Store, lambda *_: None),  # logged, not yet saved
    "rename": (os, lambda *_, **__: None),  # Orbax is about to commit
    "replace": (os, lambda *_, **__: None),  # the new file is written, the old one still in place
}


def start(fate, argv):
    """Fork a process that trains and meets its fate; its pid."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    if fate[0] in POINTS:
        place, before = POINTS[fate[0]]
        setattr(place, fate[0], meeting(getattr(place, fate[0]), fate[1], fate[2:], before))
    os._exit(toy.main(argv))


def main():
    fates, argv = json.loads(sys.argv[1]), sys.argv[2:]
    workdir = next(word.partition("=")[2] for word in argv if word.startswith("--workdir="))
    # The report is another matter, and matplotlib slow.
    sys.modules["experiments.engine.report"] = types.SimpleNamespace(build=lambda *args, **kwargs: None)
    for fate in fates:
        pid = start(fate, argv)
        if fate[0] == "after":
            time.sleep(fate[1])
            os.kill(pid, signal.Signals[fate[2]])
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        lines = len(log.read(f"{workdir}/metrics.jsonl"))
        sys.stdout.write(json.dumps({"fate": fate, "status": status, "lines": lines}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
