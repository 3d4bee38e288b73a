"""What a config's entries may be."""

import itertools
import math
from collections.abc import Iterator

from ml_collections import ConfigDict

from data_gen import sources
from experiments.waves import names

Rules = Iterator[tuple[str, object, bool, str]]


def validate(config: ConfigDict) -> None:
    """Raise ValueError, with the entry, its value and what was expected, for a config out of range."""
    for entry, value, good, expected in itertools.chain(_data(config.data), _model(config.model)):
        if not good:
            raise ValueError(f"config.{entry}={value!r}: expected {expected}")
    if not config.models:
        raise ValueError(f"config.models={config.models!r}: expected at least one")
    for name in config.models:
        try:
            network = names.model(name).network
        except ValueError as error:
            raise ValueError(f"config.models={config.models!r}: {error}") from error
        if network == "unet" and config.data.size < 16:
            raise ValueError(f"config.data.size={config.data.size}: expected at least 16, for {name} to halve 4 times")


def _data(data: ConfigDict) -> Rules:
    digits = sources.NAMES[:3]
    yield "data.set", data.set, data.set in names.SETS, f"one of {', '.join(names.SETS)}"
    yield "data.source", data.source, data.source in digits, f"one of {', '.join(digits)}"
    spans = {"num_objects": (1, 64), "radius": (3, 28)}
    for name, (low, high) in spans.items():
        span = data[name]
        good = len(span) == 2 and low <= span[0] <= span[1] <= high
        yield f"data.{name}", span, good, f"a span within {low} to {high}"
    least, what = {
        "mnist": (8, "pixels"),
        "multi_mnist": (data.digit_size, "the side of a digit"),
        "tetrominoes": (4 * data.square, "four squares"),
        "polygons": (2 * math.ceil(1.05 * max(data.radius)) + 3, "a polygon in its margin"),
    }[data.set]
    yield "data.size", data.size, data.size >= least, f"at least {least}: {what}"
    yield "data.square", data.square, 3 <= data.square <= 16, "3 to 16"
    yield "data.digit_size", data.digit_size, 1 <= data.digit_size <= 64, "1 to 64"
    yield "data.watched", data.watched, data.watched >= 0, "at least 0"
    for name in ("validation_examples", "test_examples"):
        yield f"data.{name}", data[name], data[name] >= 1, "at least 1"


def _model(model: ConfigDict) -> Rules:
    for name in ("channels", "mid_channels", "num_steps", "lstm_steps", "cnn_bins"):
        yield f"model.{name}", model[name], model[name] >= 1, "at least 1"
    good = bool(model.hidden) and min(model.hidden) >= 1
    yield "model.hidden", model.hidden, good, "at least one size, all >= 1"
    yield "model.dt", model.dt, 0 < model.dt < math.inf, "a finite number > 0"
    for name, words in (
        ("omega_start", ("default", "identity")),
        ("memory", ("store", "checkpoint", "reverse")),
    ):
        yield f"model.{name}", model[name], model[name] in words, f"one of {', '.join(words)}"
