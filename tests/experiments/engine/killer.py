"""Runs the toy experiment again and again in processes that are killed or told to stop.

python -m tests.experiments.engine.killer FATES ARGUMENT... ;
FATES is a JSON list, a fate a process: ["none"]; ["after", seconds,
"SIGKILL"]; [point, n, signal, ...], which sends itself the signals in the n-th call of one of POINTS; ["within", point,
n, seconds], which is killed so long after that call began, or when it ends; ["limit", bytes], the size that no file may
exceed; or ["beside"], for which a first process holds still in its training while a second one runs. Prints a JSON line
a process: its fate, how it ended, how many lines of metrics.jsonl it left. Importing costs seconds, so the processes
are forks of this one, made before JAX starts anything.
"""

import json
import os
import resource
import signal
import sys
import threading
import time
import types

from experiments.engine.record import metrics_log
from experiments.engine.run import checkpoint, workdir
from experiments.engine.training import evaluate, progress, runner, trainer
from tests.experiments.engine import toy


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


def dying(function, n, seconds):
    """The function, in whose n-th call, or at its end, the process is killed."""
    calls = iter(range(1, 10**9))

    def replacement(*args, **kwargs):
        if next(calls) != n:
            return function(*args, **kwargs)
        threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL)).start()
        function(*args, **kwargs)
        return os.kill(os.getpid(), signal.SIGKILL)

    return replacement


def half_write(log, lines):
    text = "".join(json.dumps(entry) + "\n" for entry in lines)
    log._file.write(text[: len(text) // 2 + 3].encode())


def at_once(*_, **__):
    pass


POINTS = {
    "write": (metrics_log.MetricsLog, half_write),  # half of the lines are in the file
    "save": (checkpoint.Store, at_once),  # logged, not yet saved
    "rename": (os, at_once),  # Orbax is about to commit
    "_file_digests": (checkpoint, at_once),  # it has, but there is no manifest
    "replace": (os, at_once),  # the new file is written, the old one still in place
    "_claim": (workdir, at_once),
    "_start": (trainer.Trainer, at_once),
    "_dispatch": (trainer.Trainer, at_once),
    "_validate": (trainer.Trainer, at_once),
    "_sample": (runner, at_once),
    "__call__": (evaluate.Evaluator, at_once),
    "with_split": (progress.Progress, at_once),  # a test set's lines are written, which is not yet noted
}


def prepare(fate):
    """What makes this process meet its fate."""
    if fate[0] == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (fate[1], fate[1]))
    elif fate[0] == "within":
        place, _ = POINTS[fate[1]]
        setattr(place, fate[1], dying(getattr(place, fate[1]), *fate[2:]))
    elif fate[0] in POINTS:
        place, before = POINTS[fate[0]]
        setattr(place, fate[0], meeting(getattr(place, fate[0]), fate[1], fate[2:], before))


def start(fate, argv):
    """Fork a process that trains and meets its fate; its pid."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    prepare(fate)
    os._exit(toy.main(argv))


def ended(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def meet(fate, argv):
    """Exit statuses of the processes of one fate."""
    if fate[0] == "beside":
        first = start(["_dispatch", 2, "SIGSTOP"], argv)
        os.waitpid(first, os.WUNTRACED)
        second = ended(start(["none"], argv))
        os.kill(first, signal.SIGCONT)
        return [second, ended(first)]
    pid = start(fate, argv)
    if fate[0] == "after":
        time.sleep(fate[1])
        os.kill(pid, signal.Signals[fate[2]])
    return [ended(pid)]


def main():
    fates, argv = json.loads(sys.argv[1]), sys.argv[2:]
    place = next(word.partition("=")[2] for word in argv if word.startswith("--workdir="))
    # The report is another matter, and matplotlib slow.
    sys.modules["experiments.engine.record.summary"] = types.SimpleNamespace(build=lambda *args, **kwargs: None)
    for fate in fates:
        for status in meet(fate, argv):
            lines = len(metrics_log.read(f"{place}/metrics.jsonl"))
            sys.stdout.write(json.dumps({"fate": fate, "status": status, "lines": lines}) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
