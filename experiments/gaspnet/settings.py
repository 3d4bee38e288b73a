"""What a config's entries may be."""

import math
from collections.abc import Iterator

from ml_collections import ConfigDict

from data_gen import sources
from experiments.gaspnet import names

SCENES = ("digits", "overlay")
PICTURES = ("cifar10", "textures")
SIZE = 32  # pixels a side

Rules = Iterator[tuple[str, object, bool, str]]


def validate(config: ConfigDict) -> None:
    """Raise ValueError, with the entry, its value and what was expected, for a config out of range."""
    for entry, value, good, expected in (*_data(config.data), *_model(config.model), *_training(config.train)):
        if not good:
            raise ValueError(f"config.{entry}={value!r}: expected {expected}")
    for entry, understand in (("models", names.changes), ("tests", names.test_set)):
        if not config[entry]:
            raise ValueError(f"config.{entry}={config[entry]!r}: expected at least one")
        for name in config[entry]:
            try:
                understand(name)
            except ValueError as error:
                raise ValueError(f"config.{entry}={config[entry]!r}: {error}") from error
    check_tests(config, config.tests)


def check_tests(config: ConfigDict, tests: tuple[str, ...]) -> None:
    """Raise ValueError for a test set that the config's scenes do not have."""
    for name in tests:
        kind, level = names.test_set(name)
        if kind != "test" and (kind == "item") != (config.data.scenes == "overlay"):
            raise ValueError(f"test set {name!r}: scenes of the kind {config.data.scenes!r} have none such")
        if kind == "item" and level > SIZE:
            raise ValueError(f"test set {name!r}: an item has at most {SIZE} pixels a side")


def _data(data: ConfigDict) -> Rules:
    bases = sources.NAMES[:3]
    yield "data.scenes", data.scenes, data.scenes in SCENES, f"one of {', '.join(SCENES)}"
    yield "data.source", data.source, data.source in bases, f"one of {', '.join(bases)}"
    yield "data.pictures", data.pictures, data.pictures in PICTURES, f"one of {', '.join(PICTURES)}"
    yield "data.item_size", data.item_size, 1 <= data.item_size <= SIZE, f"1 to {SIZE}"
    for name in ("validation_examples", "test_examples"):
        yield f"data.{name}", data[name], data[name] >= 1, "at least 1"


def _model(model: ConfigDict) -> Rules:
    for name in ("hidden", "dim", "num_steps"):
        yield f"model.{name}", model[name], model[name] >= 1, "at least 1"
    channels = model.channels
    yield "model.channels", channels, len(channels) == 3 and min(channels) >= 1, "three numbers >= 1"
    yield "model.strength", model.strength, 0 <= model.strength <= 1, "a strength within [0, 1]"
    for name in ("rate", "neighbour_gain", "dense_gain"):
        yield f"model.{name}", model[name], 0 < model[name] < math.inf, "a finite number > 0"
    yield "model.offset", model.offset, math.isfinite(model.offset), "a finite number"
    for name, words in (
        ("norm", ("last", "first")),
        ("dense_maps", ("layer", "node")),
        ("start", ("normal", "learned")),
    ):
        yield f"model.{name}", model[name], model[name] in words, f"one of {', '.join(words)}"


def _training(train: ConfigDict) -> Rules:
    for name in ("synchrony_weight", "weight_decay"):
        yield f"train.{name}", train[name], 0 <= train[name] < math.inf, "a finite number >= 0"
