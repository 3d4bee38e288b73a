"""GASPnet's experiments: an experiment, a scale and perhaps `recipe`: `ablations,cpu,recipe`; any may be left out."""

from typing import Any

from ml_collections import ConfigDict

from experiments import engine
from experiments.gaspnet import specs

Tables = dict[str, dict[str, Any]]


def models(*texts: str) -> Tables:
    """Tables of models, from their shorthand."""
    return dict(specs.MODELS.parse(text, specs.MODEL) for text in texts)


def tests(*texts: str) -> Tables:
    """Tables of test sets, from their shorthand."""
    return dict(specs.TESTS.parse(text, specs.TEST) for text in texts)


_GROUPS = {"groups": {"kind": "test", "grouped": 100, "sampled": 0}}
_NOISE = tests(
    *(f"gaussian{std}" for std in (0.15, 0.25, 0.35, 0.45, 0.6)),
    *(f"salt_pepper{share}" for share in (0.01, 0.03, 0.06, 0.1, 0.2)),
)
_SIZES = tests(*(f"item{size}" for size in (24, 20, 17, 14)))

# The second and third line of the paper's table of constants.
_OVERLAY = {
    "tests": tests("test") | _GROUPS | _SIZES,
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
    # alpha = 0 in the test alone is the metric plain_accuracy of every model: the pass that nothing modulates. The
    # paper ablates kappa and epsilon and keeps tau; without location tau = 1 too.
    "ablations": {
        "models": models(
            "gaspnet",
            "gaspnet+no_modulation",
            "gaspnet+no_synchrony",
            "gaspnet+no_kappa_epsilon",
            "gaspnet+no_location",
            "baseline",
        )
    },
    # Offset and gain of the dense nodes as in the paper's formulas, and as in its words.
    "readings": {
        "models": models("gaspnet", "gaspnet+weaken", "gaspnet+amplify", "gaspnet+weaken+amplify", "baseline")
    },
}

# On overlays the paper compares the best of five GASPnets on validation data with ten baselines.
STATISTICS = {
    "best_of_five": {"models": {"gaspnet": {"network": "gaspnet", "seeds": 5}, "baseline": {"network": "baseline"}}}
}

# Ours, for scenes of digits, the same for GASPnet and its baseline: with it GASPnet learns faster. `digits` has
# it, the paper's training has not. On overlays the synchrony loss has twenty times the weight; once the phases take all
# steps its gradient undoes what the plain pass has learned.
TRAININGS = {
    "recipe": {
        "train.batch_size": 16,
        "train.learning_rate": 2e-3,
        "train.schedule": "stable_decay",
        "train.plain_first": 0.5,
    }
}

SCALES = {
    # 10 seeds and 25 epochs as in the paper; the number of scenes is ours: docs/provenance.md.
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

VARIANTS = {**EXPERIMENTS, **STATISTICS, **SCALES, **TRAININGS}


def get_config(variant: str = "digits") -> ConfigDict:
    """The config of a variant; `specs.ENTRIES` has all entries."""
    config = engine.base_config(specs.ENTRIES)
    config.seeds = 10
    config.train.update(epochs=25, num_examples=60_000, batch_size=32, learning_rate=5e-4)
    config.train.synchrony_normalization = "half"
    config.models = models("gaspnet", "baseline")
    config.tests = tests("test") | _GROUPS | _NOISE
    names = variant.split(",") if variant else []
    overlay = any(name in names for name, changes in EXPERIMENTS.items() if changes.get("data.scenes") == "overlay")
    if overlay and "recipe" in names:
        raise ValueError(f"variant {variant!r}: expected no recipe with overlays, it is for scenes of digits")
    if "digits" in names and not overlay:
        names.append("recipe")
    return engine.variant(config, VARIANTS, ",".join(names))
