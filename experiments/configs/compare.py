"""The comparison of all networks: a set of scenes and a scale, `tetrominoes,smoke`; either may be left out."""

from typing import Any

from ml_collections import ConfigDict

from experiments import engine
from experiments.compare import specs

Tables = dict[str, dict[str, Any]]

# Optimizer and learning rate as in each family's own short runs.
MODELS: Tables = {
    "komplexnet": {
        "network": "komplexnet",
        "train": {"learning_rate": 6e-3, "optimizer": "nadam", "schedule": "stable_decay", "clip_norm": 2.0},
    },
    "real": {
        "network": "real",
        "train": {"learning_rate": 6e-3, "optimizer": "nadam", "schedule": "stable_decay", "clip_norm": 2.0},
    },
    "gaspnet": {
        "network": "gaspnet",
        "train": {"learning_rate": 2e-3, "schedule": "stable_decay", "weight_decay": 1e-5},
    },
    "baseline": {
        "network": "baseline",
        "train": {"learning_rate": 2e-3, "schedule": "stable_decay", "weight_decay": 1e-5},
    },
    "nwm_linear": {"network": "nwm", "readout": "linear"},
    "cnn_8": {"network": "cnn", "depth": 8},
    "unet_3": {"network": "unet", "width": 3},
}
_GROUPED = {"grouped": 100, "sampled": 3}
_CLEAN = {"test": {"kind": "test"}}
_NOISE = {f"noise{std}": {"kind": "noise", "std": std} for std in (0.15, 0.3)}

EXPERIMENTS = {
    "digits": {},
    "tetrominoes": {
        "tests": _CLEAN
        | {name.replace(".", "_"): test | {"label": name} for name, test in _NOISE.items()}
        | {
            "groups": {"kind": "test", **_GROUPED},
            "groups_noise": {"kind": "noise", "std": 0.3, **_GROUPED},
        },
        "data.set": "tetrominoes",
    },
}

SCALES = {
    # Hours on two CPU cores: scenes of MNIST.
    "cpu": {
        "seeds": 3,
        "data.source": "mnist",
        "data.size": 32,
        "model.komplexnet.kernel_size": 13,
        "train.epochs": 3,
        "train.num_examples": 48_000,
        "train.batch_size": 32,
    },
    # About 40 minutes on one CPU core, without any download.
    "quick": {},
    # As small as goes through everything: for tests.
    "smoke": {
        "seeds": 2,
        "data.square": 3,
        "data.size": 16,
        "data.validation_examples": 8,
        "data.test_examples": 12,
        "model.komplexnet.num_steps": 2,
        "model.komplexnet.kernel_size": 5,
        "model.gaspnet.channels": (2, 3, 2),
        "model.gaspnet.hidden": 3,
        "model.gaspnet.dim": 2,
        "model.gaspnet.num_steps": 2,
        "model.waves.hidden": (4,),
        "model.waves.mid_channels": 2,
        "model.waves.num_steps": 4,
        "model.waves.lstm_steps": 2,
        "model.waves.cnn_bins": 3,
        "train.epochs": 2,
        "train.num_examples": 16,
        "train.batch_size": 8,
        "checkpoint_every": 3,
        "log_every": 1,
    },
}

VARIANTS = {**EXPERIMENTS, **SCALES}


def get_config(variant: str = "digits") -> ConfigDict:
    """The config of a variant; `specs.ENTRIES` has all entries."""
    config = engine.base_config(specs.ENTRIES)
    config.seeds = 2
    config.data.update(source="digits", size=24, validation_examples=500)
    config.train.update(epochs=2, num_examples=24_000, batch_size=16, learning_rate=1e-3)
    # Fewer but larger steps, which take the phases as far, and what helped KomplexNet on validation data of its own.
    config.model.komplexnet.update(kernel_size=9, num_steps=6, rate=0.03)
    config.train.komplexnet.update(loss_steps=3, output_gain=4.0, one_step=0.55, phase_curriculum=0.15)
    config.train.gaspnet.update(synchrony_normalization="half", plain_first=0.5)
    config.model.waves.hidden = (32, 32)
    config.models = MODELS
    config.tests = {
        **_CLEAN,
        **{name.replace(".", "_"): test | {"label": name} for name, test in _NOISE.items()},
        "overlap": {"kind": "overlap", "max_overlap": 0.25},
        "groups": {"kind": "test", **_GROUPED},
        "groups_overlap": {"kind": "overlap", "max_overlap": 0.25, **_GROUPED},
    }
    return engine.variant(config, VARIANTS, variant)
