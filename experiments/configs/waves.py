"""The waves' experiments: a set and a scale, `mnist,cpu`; either may be left out."""

from typing import Any

from ml_collections import ConfigDict

from experiments import engine
from experiments.waves import specs

Tables = dict[str, dict[str, Any]]


def models(*texts: str) -> Tables:
    """Tables of models, from their shorthand."""
    return dict(specs.MODELS.parse(text, specs.MODEL) for text in texts)


_READOUTS = ("linear", "fft", "last", "mean", "max")
_RECURRENT = (*(f"nwm_{how}" for how in _READOUTS), *(f"lstm_{how}" for how in _READOUTS))
_CNNS = tuple(f"cnn_{depth}" for depth in (2, 4, 8, 16, 32))

# Most of the change of the waves happens in the first few hundred updates.
_EARLY = (*range(0, 100, 5), *range(100, 300, 10), *range(300, 1000, 25))

EXPERIMENTS = {
    "tetrominoes": {},
    "mnist": {
        "data.set": "mnist",
        "data.size": 56,
        "data.validation_examples": 9000,
        "data.test_examples": 10_000,
        "train.num_examples": 51_000,
    },
    "multi_mnist": {
        "seeds": 12,
        "models": models("nwm_linear", "unet_2", "unet_3", "unet_4", "unet_5"),
        "data.set": "multi_mnist",
        "data.size": 128,
        "data.num_objects": (1, 4),
        "model.channels": 16,
        "model.hidden": (32,) * 5,
    },
    # Its waves were analysed over 5 seeds in the paper.
    "polygons": {
        "seeds": 5,
        "models": models("nwm_fft"),
        "data.set": "polygons",
        "data.size": 75,
        "data.num_objects": (1, 2),
        "model.num_steps": 500,
        "model.gradient": "checkpoint",
        "validate_at": _EARLY,
    },
}

# Pictures of a quarter of the area.
_SMALL = {"data.size": 32, "data.square": 3, "data.digit_size": 14, "data.radius": (6, 8)}

SCALES = {
    # 300 epochs as in the paper: docs/provenance.md.
    "paper": {},
    # What two CPU cores do in hours.
    "cpu": _SMALL
    | {
        "seeds": 2,
        "data.validation_examples": 200,
        "data.test_examples": 500,
        "data.watched": 32,
        "model.num_steps": 100,
        "train.epochs": 10,
        "train.num_examples": 3000,
        "train.batch_size": 8,
    },
    # Minutes on two CPU cores, without any download.
    "tetrominoes_smoke": _SMALL
    | {
        "models": models("nwm_linear", "lstm_linear", "cnn_8", "unet_3"),
        "seeds": 2,
        "data.validation_examples": 64,
        "data.test_examples": 200,
        "data.num_objects": (1, 3),
        "data.watched": 16,
        "model.hidden": (32, 32),
        "train.epochs": 5,
        "train.num_examples": 640,
        "train.batch_size": 16,
    },
    # As small as goes through everything: for tests.
    "smoke": {
        "seeds": 2,
        "validate_at": (0, 1),
        "data.source": "digits",
        "data.size": 16,
        "data.num_objects": (1, 1),
        "data.square": 3,
        "data.digit_size": 8,
        "data.radius": (3, 4),
        "data.validation_examples": 4,
        "data.test_examples": 6,
        "data.watched": 3,
        "model.hidden": (16,),
        "model.mid_channels": 2,
        "model.num_steps": 6,
        "model.lstm_steps": 4,
        "model.cnn_bins": 3,
        "train.epochs": 2,
        "train.num_examples": 8,
        "train.batch_size": 4,
        "checkpoint_every": 3,
        "log_every": 1,
    },
}

VARIANTS = {**EXPERIMENTS, **SCALES}


def get_config(variant: str = "tetrominoes_smoke") -> ConfigDict:
    """The config of a variant; `specs.ENTRIES` has all entries."""
    config = engine.base_config(specs.ENTRIES)
    config.seeds = 10
    config.train.update(epochs=300, num_examples=10_000, batch_size=64, learning_rate=1e-3)
    config.models = models(*_RECURRENT, *_CNNS)
    config.tests = {"test": {"kind": "test"}}
    return engine.variant(config, VARIANTS, variant)
