"""A run in which something does not end: python -m tests.experiments.endurance.slow WHAT WORKDIR.

WHAT is "compilation", of the first step; "step", the third one; "validation", the one after the second epoch; or
"nothing", and the run ends.
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments import engine
from experiments.engine.training import runner
from tests.experiments.engine import toy

STEPS = 4  # an epoch


def linger(forever):
    """Zero, after minutes where that is asked for; of products, since JAX waits for what seems cheap."""
    count = jnp.where(forever, 2**31 - 1, 0)
    start = jnp.eye(256) / 2
    return 0 * jax.lax.fori_loop(0, count, lambda _, x: jnp.tanh(x @ x), start).sum()


def linger_in_the_compiler():
    """Zero, which XLA finds out by itself, in minutes."""
    table = jnp.asarray(np.ones((400, 400), np.float32))
    return 0 * jax.lax.reduce_window(table, 0.0, jax.lax.add, (99, 99), (1, 1), "VALID").sum()


def make_task(what):
    """One parameter, which counts the steps done."""

    def loss(params, batch, keys):
        done = jax.lax.stop_gradient(params["count"])
        if what == "compilation":
            return -params["count"] + linger_in_the_compiler(), {}
        return -params["count"] + linger((what == "step") & (done == 2)), {}

    def evaluate(params, batch, keys):
        score = params["count"] * batch["x"]
        return {"score": score + linger((what == "validation") & (params["count"] == 2 * STEPS))}

    return engine.Task(lambda key: {"count": jnp.zeros(())}, loss, evaluate, optax.sgd(1.0), "score")


def family(what):
    """The toy family with this one model."""

    def experiment(config, tests):
        data = {name: {"x": np.ones(8 * STEPS, np.float32)} for name in ("train", "validation")}
        model = engine.Model("slow", {}, config, lambda: make_task(what), data)
        return engine.Experiment(config, {"slow": model}, {})

    return toy.FAMILY._replace(name="slow", experiment=experiment)


if __name__ == "__main__":
    what, workdir = sys.argv[1:]
    sys.argv[1:] = ["--config=tests/experiments/engine/toy_config.py", f"--workdir={workdir}", "--config.cpu_devices=2"]
    sys.argv += ["--config.seeds=1", "--config.checkpoint_every=1000", f"--config.train.num_examples={8 * STEPS}"]
    sys.argv += ["--models=deep", "--config.models.deep.label=slow"]
    runner.report = lambda *_: None  # it is slow
    sys.exit(engine.main(family(what)))
