"""Sequences: an experiment and a scale, `digits,cpu`; either may be left out, digits and paper then."""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from experiments import engine
from experiments.sequences import specs

Tables = dict[str, dict[str, Any]]


def models(*texts: str) -> Tables:
    """Tables of models, from their shorthand."""
    return dict(specs.MODELS.parse(text, specs.MODEL) for text in texts)


_ALL = ("linoss", "linoss+imex", "dlinoss", "cornn", "wrnn", "wrnn+solo", "irnn", "gru")


def sized(own: Mapping[str, Tables], texts: tuple[str, ...] = _ALL) -> Tables:
    """The same, each with the entries of `model` and `train` that its network has."""
    return {name: {**table, **own.get(table["network"], {})} for name, table in models(*texts).items()}


def _train(learning_rate: float, **changes: Any) -> dict[str, Any]:
    return {"train": {"learning_rate": learning_rate, **changes}}


def _cornn(units: int, dt: float, stiffness: float, damping: float) -> dict[str, Any]:
    return {"model": {"units": units, "dt": dt, "stiffness": stiffness, "damping": damping}}


_LINOSS = {"linoss": {}, "dlinoss": {"model": {"dropout": 0.1}}}

# What is published, and what is ours: docs/provenance.md.
_ROWS = {
    **_LINOSS,
    "cornn": _cornn(256, 0.042, 2.7, 4.7) | _train(2.1e-3, batch_size=120),
    "wrnn": {"model": {"places": 169, "channels": 32, "hidden": (100,)}} | _train(1e-4),
    "irnn": {"model": {"units": 256, "hidden": (100,)}} | _train(1e-4),
    "gru": {"model": {"units": 256}},
}
_PERMUTED = {
    **_LINOSS,
    "cornn": _cornn(256, 0.076, 0.4, 8.0) | _train(5.4e-3, batch_size=120),
    "wrnn": {"model": {"places": 256, "channels": 16}} | _train(1e-4),
    "irnn": {"model": {"units": 256}} | _train(1e-4),
    "gru": {"model": {"units": 256}},
}
_COPY = {
    **_LINOSS,
    "cornn": _cornn(256, 0.042, 2.7, 4.7),
    "wrnn": {"model": {"places": 100, "channels": 6}} | _train(1e-3, clip_norm=1.0),
    "irnn": {"model": {"units": 625}} | _train(1e-4, clip_norm=1.0),
    "gru": {"model": {"units": 256}},
}
_ADDING = {
    **_LINOSS,
    "cornn": _cornn(128, 0.06, 66.0, 15.0) | _train(2e-2, batch_size=50),
    "wrnn": {"model": {"places": 100, "channels": 27}} | _train(1e-3, clip_norm=1.0),
    "irnn": {"model": {"units": 100}} | _train(1e-3, clip_norm=1.0),
    "gru": {},
}
# Ours throughout. A step of the coRNN is longer than on 784 pixels, of which 64 are a twelfth.
_SMALL = {
    "linoss": {"model": {"channels": 32, "state_size": 32, "num_blocks": 2}} | _train(3e-3),
    "dlinoss": {"model": {"channels": 32, "state_size": 32, "num_blocks": 2}} | _train(3e-3),
    "cornn": _cornn(64, 0.2, 2.7, 4.7) | _train(5e-3),
    "wrnn": {"model": {"places": 64, "channels": 4, "hidden": (32,)}} | _train(1e-3, clip_norm=1.0),
    "irnn": {"model": {"units": 64, "hidden": (32,)}} | _train(1e-3, clip_norm=1.0),
    "gru": {"model": {"units": 64}} | _train(3e-3),
}
_DIGITS = {
    "data.validation_examples": 216,
    "data.test_examples": 355,
    "train.num_examples": 1226,
    "train.batch_size": 32,
    "train.epochs": 200,
}
_MNIST = {
    "data.set": "mnist",
    "data.validation_examples": 3000,
    "data.test_examples": 10_000,
    "train.num_examples": 57_000,
    "train.epochs": 120,
}
# 60,000 updates of batches of 128, in sixty parts, each of which ends with a validation.
_DRAWN = {"train.num_examples": 128_000, "train.epochs": 60}

EXPERIMENTS: dict[str, dict[str, Any]] = {
    "digits": {"models": sized(_SMALL)} | _DIGITS,
    "permuted_digits": {"models": sized(_SMALL), "data.permutation": 0} | _DIGITS,
    "mnist": {"models": sized(_ROWS)} | _MNIST,
    "permuted_mnist": {"models": sized(_PERMUTED), "data.permutation": 0} | _MNIST,
    "copy": {"models": sized(_COPY), "data.set": "copy"} | _DRAWN,
    "adding": {"models": sized(_ADDING), "data.set": "adding"} | _DRAWN,
}

_TINY = {
    "linoss": {"model": {"channels": 4, "state_size": 3, "num_blocks": 1}},
    "dlinoss": {"model": {"channels": 4, "state_size": 3, "num_blocks": 1}},
    "cornn": _cornn(4, 0.2, 2.7, 4.7),
    "wrnn": {"model": {"places": 4, "channels": 2}},
    "irnn": {"model": {"units": 4}},
    "gru": {"model": {"units": 4}},
}
_SMOKE = {
    "models": sized(_TINY),
    "seeds": 2,
    "data.validation_examples": 4,
    "data.test_examples": 6,
    "data.length": 5,
    "train.epochs": 2,
    "train.num_examples": 8,
    "train.batch_size": 4,
    "checkpoint_every": 3,
    "log_every": 1,
}

_CPU_DIGITS = {"seeds": 3, "train.epochs": 100}
_QUICK = ("linoss", "cornn", "wrnn", "gru")
_QUICK_MEMORY = ("wrnn", "irnn", "gru", "cornn", "linoss")
_CPU_MNIST = {
    "models": sized(_SMALL | {"cornn": _cornn(64, 0.042, 2.7, 4.7) | _train(5e-3)}),
    "seeds": 2,
    "data.validation_examples": 1000,
    "data.test_examples": 2000,
    "train.epochs": 6,
    "train.num_examples": 12_000,
    "train.batch_size": 32,
}
_QUICK_DIGITS = {"models": sized(_SMALL, _QUICK), "seeds": 2, "train.epochs": 20}
_QUICK_MNIST = _CPU_MNIST | {
    "models": sized(_SMALL, ("linoss", "gru")),
    "train.epochs": 1,
    "train.num_examples": 3200,
}


def _short(length: int, texts: tuple[str, ...], updates: int) -> dict[str, Any]:
    """Memory tasks: so many updates in ten parts; the ring is as long as a copy."""
    ring = {
        "wrnn": {"model": {"places": length + 20, "channels": 6}} | _train(1e-3, clip_norm=1.0),
        "irnn": {"model": {"units": 64}} | _train(1e-3, clip_norm=1.0),
    }
    return {
        "models": sized(_SMALL | ring, texts),
        "seeds": 2,
        "data.length": length,
        "data.validation_examples": 200,
        "data.test_examples": 1000,
        "train.epochs": 10,
        "train.num_examples": 32 * updates // 10,
        "train.batch_size": 32,
    }


# By experiment.
SCALES: dict[str, dict[str, dict[str, Any]]] = {
    "paper": {},
    # Meant for two hours on two CPU cores.
    "cpu": {
        "digits": _CPU_DIGITS,
        "permuted_digits": _CPU_DIGITS,
        "mnist": _CPU_MNIST,
        "permuted_mnist": _CPU_MNIST,
        "copy": _short(20, _ALL, 10_000),
        "adding": _short(50, _ALL, 10_000),
    },
    # Meant for five minutes.
    "quick": {
        "digits": _QUICK_DIGITS,
        "permuted_digits": _QUICK_DIGITS,
        "mnist": _QUICK_MNIST,
        "permuted_mnist": _QUICK_MNIST,
        "copy": _short(10, _QUICK_MEMORY, 1000),
        "adding": _short(20, _QUICK_MEMORY, 1000),
    },
    # As small as goes through everything, without a download: for tests.
    "smoke": {name: _SMOKE | ({"data.set": "scans"} if name.endswith("mnist") else {}) for name in EXPERIMENTS},
}

VARIANTS = {**EXPERIMENTS, **SCALES}


def get_config(variant: str = "digits,quick") -> ConfigDict:
    """The config of a variant; `specs.ENTRIES` has all entries."""
    config = engine.base_config(specs.ENTRIES)
    config.seeds = 5
    config.train.update(batch_size=128, learning_rate=1e-3)
    config.models = models(*_ALL)
    config.tests = {"test": {"kind": "test"}}
    names = variant.split(",") if variant else []
    if not set(names) & set(EXPERIMENTS):
        names = ["digits", *names]
    experiment = next(name for name in names if name in EXPERIMENTS)
    scales = {scale: changes.get(experiment, {}) for scale, changes in SCALES.items()}
    return engine.variant(config, {**EXPERIMENTS, **scales}, ",".join(names))
