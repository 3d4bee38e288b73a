"""The waves' experiments as data: the entries of a config, the tables of models and test sets, their shorthand."""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any, get_args

from ml_collections import ConfigDict

from data_gen import sources
from experiments import engine
from experiments.engine import POSITIVE, Entry, Table, at_least, between, each, one_of, span
from experiments.waves import figures
from experiments.waves.data import SETS, Data
from experiments.waves.task import BUILDERS, make_task, num_classes
from oscnets.ops import How

READOUTS = get_args(How)
CHOICES = {"nwm": "readout", "lstm": "readout", "cnn": "depth", "unet": "width"}  # the entry that each network needs

ENTRIES: engine.Entries = {
    "data": {
        "set": Entry("tetrominoes", "set of pictures", one_of(*SETS)),
        "source": Entry("mnist", "data set of the digits of mnist and multi_mnist", one_of(*sources.NAMES[:3])),
        "size": Entry(64, "side of a picture, pixels", at_least(1)),
        "num_objects": Entry((1, 5), "fewest and most objects in a picture", span(1, 64)),
        "square": Entry(7, "side of a tetromino's squares, pixels", between(3, 16)),
        "digit_size": Entry(42, "side of a digit of multi_mnist, pixels", between(1, 64)),
        "radius": Entry((15, 20), "smallest and largest radius of a polygon, pixels", span(3, 28)),
        "validation_examples": Entry(1000, "pictures of the validation split", at_least(1)),
        "test_examples": Entry(1000, "pictures of the test set", at_least(1)),
        "watched": Entry(64, "validation pictures whose wavelengths are measured after every epoch", at_least(0)),
    },
    # Names as in `oscnets.models.NeuralWaveMachine`; num_steps, dt and the entries after them are of it alone.
    "model": {
        "channels": Entry(2, "channels of the states", at_least(1)),
        "hidden": Entry((256, 256, 256), "units of the classifier's hidden layers", each(at_least(1))),
        "mid_channels": Entry(16, "channels of the encoder's hidden layer", at_least(1)),
        "lstm_steps": Entry(20, "steps of the network lstm", at_least(1)),
        "cnn_bins": Entry(49, "features per channel of the network cnn", at_least(1)),
        "num_steps": Entry(100, "steps of the network nwm", at_least(1)),
        "dt": Entry(0.1, "length of a step", POSITIVE),
        "omega_start": Entry("default", "initial natural frequencies", one_of("default", "identity")),
        "implicit_damping": Entry(False, "whether a step treats the damping implicitly"),
        "gradient": Entry(
            "store",
            "how gradients are taken through time; auto: store or checkpoint, by size",
            one_of("store", "checkpoint", "reverse", "auto"),
        ),
    },
}

MODEL: engine.Entries = {
    "network": Entry(str, "the network", one_of(*BUILDERS), required=True),
    "readout": Entry(str, "readout over time of the networks nwm and lstm", one_of(*READOUTS)),
    "depth": Entry(int, "convolutions of the network cnn", between(1, 99)),
    "width": Entry(int, "width of the network unet", between(1, 99)),
}

TEST: engine.Entries = {"kind": Entry(str, "test: pictures like those of the training", one_of("test"), required=True)}

LABELS = {
    "accuracy": "share of pixels named",
    "foreground_accuracy": "share of foreground named",
    "loss": "cross-entropy (nats)",
}

MODELS = engine.Shorthand(
    {
        **{f"{n}_{how}": {"network": n, "readout": how} for n in ("nwm", "lstm") for how in READOUTS},
        **{network: {"network": network} for network in ("cnn", "unet")},
    },
    level={"cnn": "depth", "unet": "width"},
)
TESTS = engine.Shorthand({"test": {"kind": "test"}})


def check(config: ConfigDict) -> None:
    """Raise ValueError, with the entry, its value and what was expected, where entries do not suit each other."""
    data = config.data
    least, shown = {
        "mnist": (8, "pixels"),
        "multi_mnist": (data.digit_size, "the side of a digit"),
        "tetrominoes": (4 * data.square, "four squares"),
        "polygons": (2 * math.ceil(1.05 * max(data.radius)) + 3, "a polygon in its margin"),
    }[data.set]
    if data.size < least:
        raise ValueError(f"config.data.size={data.size}: expected at least {least}, {shown}")
    for name, model in config.models.items():
        for key in dict.fromkeys(CHOICES.values()):
            needed = CHOICES[model.network] == key
            if needed != (model[key] is not None):
                expected = f"a {key}" if needed else "None"
                raise ValueError(
                    f"config.models.{name}.{key}={model[key]!r}: expected {expected}, for the network {model.network}"
                )
        if model.network == "unet" and data.size < 16:
            raise ValueError(f"config.data.size={data.size}: expected at least 16, for models.{name} to halve 4 times")


def experiment(config: ConfigDict, tests: Mapping[str, Table]) -> engine.Experiment:
    """The experiment of a config, evaluated on the test sets of the tables."""
    tests = engine.by_label(tests)
    data, shown = Data(config), next(iter(tests))

    def parts(own, table):
        return partial(make_task, own, table), data.of_model(table, tests)

    models = engine.models_of(config, parts)
    guess = 1 / num_classes(config)
    chance = {"accuracy": guess, "foreground_accuracy": guess}
    chance |= {"loss": -math.log(guess), "foreground_loss": -math.log(guess)}
    return engine.Experiment(
        config,
        models,
        tests,
        labels=LABELS,
        statistics=engine.Statistics(time_metrics=(), score="-loss", chance=lambda label, split: chance),
        samples=lambda trained, data: figures.sample(trained, data[shown]),
        figures=partial(figures.draw, config, models, shown),
    )


def migrate(config: dict[str, Any]) -> dict[str, Any]:
    """A config of format 1, with a list of names of models, as JSON -> one with tables."""
    models = dict(MODELS.parse(name, MODEL) for name in config["models"])
    model = {{"memory": "gradient"}.get(key, key): value for key, value in config["model"].items()}
    return config | {"model": model, "models": models, "tests": {"test": {"kind": "test"}}}


FAMILY = engine.Family(
    "waves", ENTRIES, MODEL, TEST, models=MODELS, tests=TESTS, check=check, experiment=experiment, migrate=migrate
)
