"""A small search for the tests: learning rate and decay are traced, the hidden layer's width is a shape.

python -m tests.experiments.search.toy SIGNALS ARGUMENT...
searches repeatedly, each time in a fork of this process. SIGNALS is a JSON list of [n, signal]: the fork sends itself
the signal when it is about to store the n-th of its trials; [0, ""] for none. Prints a JSON list: how each fork ended,
and how many trials it left.
"""

import json
import os
import signal
import sqlite3
import sys

import jax
import jax.numpy as jnp

from experiments import engine
from experiments.search import search
from tests.experiments.engine import toy

SPACE = search.Space({"learning_rate": (1e-3, 1.0), "decay": (1e-4, 1.0)}, {"width": range(2, 7, 2)})


def make_task(values):
    task = toy.make_task((values["width"],), values["learning_rate"])

    def loss(params, batch, keys):
        value, scalars = task.loss(params, batch, keys)
        return value + values["decay"] * sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(params)), scalars

    return task._replace(loss=loss)


def problem(config, score="accuracy"):
    start = {"learning_rate": config.train.learning_rate, "decay": 0.01, "width": config.hidden - 1}
    name = next(iter(config.models))
    settled = config.copy_and_resolve_references().unlock()

    def settle(values):
        settled.hidden, settled.train.learning_rate = values["width"], values["learning_rate"]
        return settled

    make = lambda values: make_task(values)._replace(score=score)  # noqa: E731
    if score not in ("accuracy", "-loss"):
        raise ValueError(f"score={score}: expected accuracy or -loss")
    return search.Problem(SPACE, engine.of_model(config, name), make, toy.data_of(config, {}), start, settle)


def main(argv=None):
    return search.main(toy.FAMILY, problem, flags={"score": engine.Flag("accuracy", "the objective")}, argv=argv)


def _send_at_trial(number, name):
    calls, store = iter(range(1, 10**9)), search._store

    def replacement(*args):
        if next(calls) == number:
            os.kill(os.getpid(), signal.Signals[name])
        store(*args)

    search._store = replacement


def _fork(signals, argv):
    place = next(word.partition("=")[2] for word in argv if word.startswith("--workdir="))
    for each in signals:
        pid = os.fork()
        if not pid:
            _send_at_trial(*each)
            os._exit(main(argv))
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        study = sqlite3.connect(f"{place}/study.db")
        (count,) = study.execute("SELECT COUNT(*) FROM trials WHERE state IN ('COMPLETE', 'PRUNED')").fetchone()
        study.close()
        yield status, count


if __name__ == "__main__":
    sys.stdout.write(json.dumps(list(_fork(json.loads(sys.argv[1]), sys.argv[2:]))))
