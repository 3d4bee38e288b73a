"""Oscillators on spheres: an experiment and a scale, `sudoku,cpu`; either may be left out."""

from typing import Any

from ml_collections import ConfigDict

from experiments import engine
from experiments.akorn import specs

Tables = dict[str, dict[str, Any]]


def models(*texts: str) -> Tables:
    """Tables of models, from their shorthand."""
    return dict(specs.MODELS.parse(text, specs.MODEL) for text in texts)


def tests(*texts: str) -> Tables:
    """Tables of test sets, from their shorthand."""
    return dict(specs.TESTS.parse(text, specs.TEST) for text in texts)


# The Transformer is iterated self-attention with one step and eight blocks.
_SUDOKU_MODELS = {
    "akorn": {"network": "akorn"},
    "itrsa": {"network": "itrsa", "model": {"num_steps": 32}, "train": {"learning_rate": 5e-4}},
    "transformer": {
        "network": "itrsa",
        "model": {"num_steps": 1, "num_layers": 8},
        "train": {"learning_rate": 5e-4},
    },
}
_VOTES = ("sparse+votes100@128", "sparse+votes100+last@128", "sparse+votes100+confidence@128")

EXPERIMENTS = {
    "sudoku": {
        "models": _SUDOKU_MODELS,
        "tests": tests(*(f"{kind}@{steps}" for kind in ("test", "sparse") for steps in (16, 32, 64, 128)), *_VOTES),
    },
}

SCALES = {
    # The published one: 5 seeds, 100 epochs.
    "paper": {},
    # What two CPU cores do in a day.
    "cpu": {
        "seeds": 2,
        "models": {name: _SUDOKU_MODELS[name] for name in ("akorn", "itrsa")},
        "model.channels": 128,
        "data.validation_examples": 200,
    },
    # Five minutes on two CPU cores: boards of which a fifth is blank.
    "quick": {
        "models": {name: {"network": name} for name in ("akorn", "itrsa")},
        "tests": tests("test", "test@32", "sparse", "sparse@32", "sparse+votes8@32"),
        "data.givens": (58, 70),
        "data.sparse_givens": (50, 57),
        "data.validation_examples": 100,
        "data.test_examples": 200,
        "model.channels": 32,
        "model.heads": 4,
        "model.num_steps": 8,
        "train.epochs": 12,
        "train.num_examples": 3200,
        "train.batch_size": 32,
    },
    # As small as goes through everything: for tests.
    "smoke": {
        "seeds": 2,
        "tests": tests("test", "sparse+votes2+last@3"),
        "data.givens": (70, 72),
        "data.sparse_givens": (60, 62),
        "data.validation_examples": 4,
        "data.test_examples": 6,
        "model.channels": 8,
        "model.heads": 2,
        "model.num_steps": 2,
        "train.average_start": 2,
        "train.average_every": 2,
        "train.epochs": 2,
        "train.num_examples": 8,
        "train.batch_size": 4,
        "checkpoint_every": 3,
        "log_every": 1,
    },
}

VARIANTS = {**EXPERIMENTS, **SCALES}


def get_config(variant: str = "sudoku,quick") -> ConfigDict:
    """The config of a variant; `specs.ENTRIES` has all entries."""
    config = engine.base_config(specs.ENTRIES)
    config.seeds = 5
    config.train.update(epochs=100, num_examples=9000, batch_size=100, learning_rate=1e-3)
    config.models = models("akorn", "itrsa")
    config.tests = tests("test", "sparse")
    return engine.variant(config, VARIANTS, variant)
