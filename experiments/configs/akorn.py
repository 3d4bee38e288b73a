"""Oscillators on spheres: an experiment and a scale, `discovery,cpu`; either may be left out, sudoku and paper then."""

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


def _warmup(epochs: int) -> float:
    """The share that 500 updates are, of batches of 64 of 50,000 shapes."""
    return 500 / (epochs * (50_000 // 64))


_VOTES = ("sparse+votes100@128", "sparse+votes100+last@128", "sparse+votes100+confidence@128")

EXPERIMENTS = {
    "sudoku": {
        "models": _SUDOKU_MODELS,
        "tests": tests(
            *(f"{kind}{steps}" for kind in ("test", "sparse") for steps in ("", "@16", "@64", "@128")), *_VOTES
        ),
        "train.clip_norm": 1.0,
    },
    # 100,000 updates; the Complex AutoEncoder had 10,000 on two shapes.
    "shapes": {
        "models": {
            "rotating_features": {"network": "rotating_features", "train": {"clip_norm": 0.1}},
            "complex_autoencoder": {"network": "complex_autoencoder"},
        },
        "tests": tests("test"),
        "data.set": "shapes",
        "data.validation_examples": 10_000,
        "data.test_examples": 10_000,
        "model.channels": 32,
        "model.components": 8,
        "train.warmup": _warmup(128),
        "train.epochs": 128,
        "train.num_examples": 50_000,
        "train.batch_size": 64,
    },
    "discovery": {
        "models": models("akorn", "akorn+conv", "itrsa", "itrconv"),
        "tests": tests("test", "test+tiles4"),
        "data.set": "tetrominoes",
        "data.validation_examples": 10_240,
        "data.test_examples": 320,
        "model.channels": 128,
        "model.num_steps": 8,
        "train.average_decay": 0.998,
        "train.average_start": 200,
        "train.epochs": 50,
        "train.num_examples": 60_000,
        "train.batch_size": 256,
    },
}

_SMOKE = {
    "seeds": 2,
    "data.validation_examples": 4,
    "data.test_examples": 6,
    "model.num_steps": 2,
    "train.average_start": 2,
    "train.average_every": 2,
    "train.epochs": 2,
    "train.num_examples": 8,
    "train.batch_size": 4,
    "checkpoint_every": 3,
    "log_every": 1,
}

# By experiment.
SCALES: dict[str, dict[str, dict[str, Any]]] = {
    # The published sizes, such as 512 channels for Sudoku; what is ours: docs/provenance.md.
    "paper": {},
    # Meant for a day on two CPU cores.
    "cpu": {
        "sudoku": {
            "seeds": 2,
            "models": {name: _SUDOKU_MODELS[name] for name in ("akorn", "itrsa")},
            "model.channels": 128,
            "data.validation_examples": 200,
        },
        "shapes": {
            "seeds": 2,
            "data.validation_examples": 500,
            "data.test_examples": 1000,
            "train.epochs": 26,
            "train.warmup": _warmup(26),
        },
        "discovery": {
            "seeds": 2,
            "data.validation_examples": 512,
            "train.epochs": 10,
            "train.num_examples": 10_000,
        },
    },
    # Small: Sudokus with 7 to 16 blanks; two shapes.
    "quick": {
        "sudoku": {
            "seeds": 1,
            "models": models("akorn", "itrsa"),
            "tests": tests("test", "sparse", "sparse+votes8"),
            "data.givens": (65, 74),
            "data.sparse_givens": (57, 64),
            "data.validation_examples": 100,
            "data.test_examples": 200,
            "model.channels": 32,
            "model.heads": 4,
            "model.num_steps": 8,
            "train.average_every": 1,  # an average over 2,000 updates would lag behind a run of 2,000
            "train.epochs": 8,
            "train.learning_rate": 2e-3,
            "train.num_examples": 4000,
            "train.batch_size": 16,
            "train.schedule": "stable_decay",
        },
        "shapes": {
            "seeds": 1,
            "models": models("complex_autoencoder"),
            "data.num_shapes": 2,
            "data.validation_examples": 64,
            "data.test_examples": 100,
            "model.channels": 8,
            "model.latent": 16,
            "train.epochs": 5,
            "train.num_examples": 6400,
            "train.warmup": 0.1,
            "train.batch_size": 32,
        },
        "discovery": {
            "seeds": 1,
            "models": models("akorn", "itrsa"),
            "tests": tests("test"),
            "data.validation_examples": 64,
            "data.test_examples": 64,
            "model.channels": 32,
            "model.num_steps": 4,
            "train.epochs": 3,
            "train.num_examples": 3200,
            "train.batch_size": 64,
        },
    },
    # As small as goes through everything: for tests.
    "smoke": {
        "sudoku": {
            "tests": tests("test", "sparse+votes2+last@3"),
            "data.givens": (70, 72),
            "data.sparse_givens": (60, 62),
        }
        | _SMOKE
        | {"model.channels": 8, "model.heads": 2},
        "shapes": _SMOKE | {"data.num_shapes": 2, "model.channels": 2, "model.latent": 4, "train.warmup": 0.5},
        "discovery": _SMOKE
        | {"tests": tests("test", "test+tiles2"), "model.channels": 8, "model.heads": 2, "model.kernel_size": 3},
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
    names = variant.split(",") if variant else []
    if not set(names) & set(EXPERIMENTS):
        names = ["sudoku", *names]
    experiment = next(name for name in names if name in EXPERIMENTS)
    scales = {scale: changes.get(experiment, {}) for scale, changes in SCALES.items()}
    return engine.variant(config, {**EXPERIMENTS, **scales}, ",".join(names))
