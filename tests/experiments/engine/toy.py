"""A small experiment for the tests of the engine.

python -m tests.experiments.engine.toy --config=tests/experiments/engine/toy_config.py

Noisy inputs in 8 dimensions, as uint8, of 3 classes; "plain" is a linear map, "deep" has a hidden layer. Both see noise
drawn from the keys, in training and in evaluation.
"""

import contextlib
import io
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.experimental.compilation_cache import compilation_cache

from experiments import engine
from experiments.engine.process.signals import Stop
from experiments.engine.record import metrics_log
from experiments.engine.run.checkpoint import Store
from experiments.engine.training.seeds import make_plan
from experiments.engine.training.trainer import Recorder, Trainer, restore

CLASSES, SIZE = 3, 8


def make_data(config, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.uniform(60, 190, (CLASSES, SIZE))

    def split(count):
        labels = rng.integers(0, CLASSES, count).astype(np.int32)
        inputs = np.clip(centres[labels] + rng.normal(0, 40, (count, SIZE)), 0, 255).astype(np.uint8)
        return {"inputs": inputs, "labels": labels}

    return {"train": split(config.train.num_examples), "validation": split(37), "test": split(41), "noise": split(23)}


def make_task(widths, learning_rate, noise=0.3, optimizer=None):
    sizes = [SIZE, *widths, CLASSES]

    def init(key):
        keys = jax.random.split(key, len(sizes) - 1)
        return {
            f"layer{i}": {"kernel": jax.random.normal(k, (a, b)) / a**0.5, "bias": jnp.zeros(b)}
            for i, (k, a, b) in enumerate(zip(keys, sizes[:-1], sizes[1:], strict=True))
        }

    def logits(params, batch, keys):
        x = batch["inputs"].astype(jnp.float32) / 64 - 2
        if noise:
            # Uniform, of the bits of the keys alone: a generator would double the time that the tests compile for.
            first, second = jnp.split(jax.random.key_data(keys), 2, axis=1)
            bits = (first + second * jnp.arange(1, SIZE + 1, dtype=jnp.uint32)) * jnp.uint32(2654435761)
            x = x + 3.5 * noise * ((bits >> 8).astype(jnp.float32) / 2.0**24 - 0.5)
        for i in range(len(sizes) - 1):
            x = x @ params[f"layer{i}"]["kernel"] + params[f"layer{i}"]["bias"]
            x = jnp.tanh(x) if i + 2 < len(sizes) else x
        return x

    def cross_entropy(found, labels):
        return -jnp.take_along_axis(jax.nn.log_softmax(found), labels[:, None], 1)[:, 0]

    def loss(params, batch, keys):
        found = logits(params, batch, keys)
        right = jnp.mean(jnp.argmax(found, -1) == batch["labels"])
        return jnp.mean(cross_entropy(found, batch["labels"])), {"accuracy": right, "undefined": jnp.nan}

    def evaluate(params, batch, keys):
        found = logits(params, batch, keys)
        right = (jnp.argmax(found, -1) == batch["labels"]).astype(jnp.float32)
        odd = engine.Measured(right, batch["labels"] != 0)
        over_time = jnp.stack([0.5 * right, right], axis=1)
        return {"accuracy": over_time, "loss": cross_entropy(found, batch["labels"]), "without_class_0": odd}

    return engine.Task(init, loss, evaluate, optimizer or optax.adam(learning_rate), "accuracy")


ENTRIES = {
    "hidden": engine.Entry(5, "units of the hidden layer", engine.at_least(1)),
    "widths": engine.Entry((4, 2), "read by nobody", engine.each(engine.at_least(1))),
}
MODEL = {"network": engine.Entry(str, "which network", engine.one_of("plain", "deep"), required=True)}
TEST = {
    "kind": engine.Entry(str, "which set", engine.one_of("test", "noise"), required=True),
    "level": engine.Entry(0, "seed of the set", engine.at_least(0)),
}
MODELS = engine.Shorthand(
    {name: {"network": name} for name in ("plain", "deep")}, changes={"fast": {"train": {"epochs": 1}}}
)
TESTS = engine.Shorthand({name: {"kind": name} for name in ("test", "noise")}, level={"noise": "level"})


def task_of(config, table):
    widths = (config.hidden,) if table["network"] == "deep" else ()
    return make_task(widths, config.train.learning_rate, optimizer=engine.optimizer.make(config.train))


def data_of(config, tests):
    """By split, made only when asked for."""

    def load(kind, seed=0):
        return lambda: make_data(config, seed)[kind]

    return {"train": load("train"), "validation": load("validation")} | {
        label: load(table["kind"], table["level"]) for label, table in tests.items()
    }


def samples(trained, data):
    kernels = {"after": trained.params["layer0"]["kernel"], "before": trained.initial_params["layer0"]["kernel"]}
    return {**kernels, "inputs": data["test"]["inputs"][:4], "best_step": trained.best_step}


def experiment(config, tests):
    tests = engine.by_label(tests)
    models = engine.models_of(config, lambda own, table: (partial(task_of, own, table), data_of(own, tests)))
    statistics = engine.Statistics(chance=lambda model, split: {"accuracy": 1 / CLASSES})
    return engine.Experiment(config, models, tests, statistics=statistics, samples=samples)


def check(config):
    if config.hidden > 100:
        raise ValueError(f"config.hidden={config.hidden}: expected at most 100")


def migrate(config):
    tables = {
        section: dict(map(of.parse, config[section], [of_entries] * len(config[section])))
        for section, of, of_entries in (("models", MODELS, MODEL), ("tests", TESTS, TEST))
        if section in config
    }
    return {"tests": {"test": {"kind": "test"}, "noise": {"kind": "noise"}}, **config, **tables}


FAMILY = engine.Family("toy", ENTRIES, MODEL, TEST, MODELS, TESTS, check, experiment, migrate)


def keep_programs(cache):
    """Compile no program twice, with this folder for them; None: as usual again."""
    jax.config.update("jax_compilation_cache_dir", None if cache is None else str(cache))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 1.0 if cache is None else 0.0)
    compilation_cache.reset_cache()


def trainer_config(validate_at=(), **train):
    config = engine.base_config()
    train = {"epochs": 2, "batch_size": 8, **train}
    config.update(checkpoint_every=1000, log_every=1, validate_at=validate_at, train=train)
    return config


@contextlib.contextmanager
def trainer(workdir, task, data, *, seed=0, seeds=2, strategy="vmap", devices=None, **train):
    """A Trainer beside the command line; workdir/metrics.jsonl and workdir/m hold what it leaves."""
    config = trainer_config(**train)
    plan = make_plan(seed, seeds, config.train.batch_size, strategy, devices)
    workdir.mkdir(exist_ok=True)
    metrics = metrics_log.MetricsLog(workdir / "metrics.jsonl")
    store = Store(workdir / "m")
    closing = contextlib.closing(metrics), contextlib.closing(store)
    with closing[0], closing[1], Stop() as stop, metrics_log.progress_bar(1, io.StringIO()) as bar:
        yield Trainer("m", task, data, config, plan, store, Recorder(metrics, bar, stop), restore(store, task))


def main(argv=None):
    return engine.main(FAMILY, argv)


if __name__ == "__main__":
    from tests.experiments.engine import toy  # the module that the config file imports

    sys.exit(toy.main())
