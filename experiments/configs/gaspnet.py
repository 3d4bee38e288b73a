"""GASPnet's experiments: an experiment and a scale, `ablations,digits`; either may be left out."""

from ml_collections import ConfigDict

from experiments import engine

_NOISE = (
    *(f"gaussian{std}" for std in (0.15, 0.25, 0.35, 0.45, 0.6)),
    *(f"salt_pepper{share}" for share in (0.01, 0.03, 0.06, 0.1, 0.2)),
)
_SIZES = tuple(f"item{size}" for size in (24, 20, 17, 14))

# The second and third line of the paper's table of constants.
_OVERLAY = {
    "tests": ("test", *_SIZES),
    "data.scenes": "overlay",
    "model.strength": 0.8,
    "model.dim": 16,
    "model.rate": 4.0,
    "model.offset": -0.7,
    "model.neighbour_gain": 1.0,
    "model.start": "learned",
    "train.synchrony_weight": 10.0,
    "train.num_examples": 48_000,
}

EXPERIMENTS = {
    "multi_mnist": {},
    "cifar_mnist": _OVERLAY,
    "cifar_fashion": _OVERLAY | {"data.source": "fashion_mnist"},
    # alpha = 0 in the test is the metric plain_accuracy of every model: the pass that nothing modulates.
    "ablations": {"models": ("gaspnet", "gaspnet+no_synchrony", "gaspnet+no_location", "baseline")},
    # What the paper's formulas say of offset and gain of the dense nodes, and what its words do.
    "readings": {"models": ("gaspnet", "gaspnet+weaken", "gaspnet+amplify", "gaspnet+weaken+amplify", "baseline")},
}

SCALES = {
    # The published one: 10 seeds, 25 epochs.
    "paper": {},
    # What two CPU cores do in hours: 10,000 updates a seed.
    "cpu": {
        "seeds": 3,
        "data.validation_examples": 2000,
        "data.test_examples": 2000,
        "train.epochs": 4,
        "train.num_examples": 20_000,
        "train.batch_size": 8,
    },
    # Minutes on two CPU cores, without any download.
    "digits": {
        "seeds": 2,
        "data.source": "digits",
        "data.pictures": "textures",
        "data.validation_examples": 500,
        "data.test_examples": 1000,
        "train.epochs": 4,
        "train.num_examples": 8000,
        "train.batch_size": 8,
    },
    # As small as goes through everything: for tests.
    "smoke": {
        "seeds": 2,
        "data.source": "digits",
        "data.pictures": "textures",
        "data.validation_examples": 8,
        "data.test_examples": 12,
        "model.num_steps": 2,
        "train.epochs": 2,
        "train.num_examples": 16,
        "train.batch_size": 8,
        "checkpoint_every": 3,
        "log_every": 1,
    },
}

VARIANTS = {**EXPERIMENTS, **SCALES}


def get_config(variant: str = "digits") -> ConfigDict:
    """The config of a variant; see `engine.base_config` for the entries that every experiment has."""
    config = engine.base_config()
    config.update(
        ConfigDict({
            "seeds": 10,
            "models": ("gaspnet", "baseline"),
            "tests": ("test", *_NOISE),
            "data": {
                "scenes": "digits",  # two of them; or "overlay": an item over a picture
                "source": "mnist",  # of digits and items
                "pictures": "cifar10",
                "dir": "",  # folder prepared by TFDS; "" is TFDS's own default
                "item_size": 28,
                "validation_examples": 10_000,
                "test_examples": 10_000,
            },
            # The first line of the paper's table of constants; names as of `oscnets.models.GASPnet`.
            "model": {
                "channels": (26, 30, 32),
                "hidden": 16,
                "norm": "last",
                "dim": 32,
                "strength": 1.0,
                "rate": 1.0,
                "neighbour_gain": 5.0,
                "offset": -0.9,
                "dense_gain": 0.01,
                "dense_maps": "layer",
                "start": "normal",
                "input_phases": False,
                "num_steps": 6,
            },
            "train": {
                "epochs": 25,
                "num_examples": 60_000,
                "batch_size": 32,
                "learning_rate": 5e-4,
                "weight_decay": 1e-5,
                "synchrony_weight": 0.5,
            },
        })
    )  # fmt: skip
    return engine.variant(config, VARIANTS, variant)
