"""What a config's entries may be."""

import math
from collections.abc import Callable, Iterator

from ml_collections import ConfigDict

from data_gen import sources
from experiments.komplexnet import names
from oscnets.models.komplexnet import LAYERS

PICTURES = ("cifar10", "textures")


def validate(config: ConfigDict) -> None:
    """Raise ValueError, with the entry, its value and what was expected, for a config out of range."""
    _all_known("models", config.models, names.model)
    _all_known("tests", config.tests, names.test_set)
    for entry, value, good, expected in (*_data(config), *_model(config), *_training(config)):
        if not good:
            raise ValueError(f"config.{entry}={value!r}: expected {expected}")


def of_model(config: ConfigDict, name: str) -> ConfigDict:
    """The config with `train` as this model has it: the entries of `train_of` that are not 0, moved there."""
    network, _, background = names.model(name)
    found = config.copy_and_resolve_references()
    for kind in (network, *(["background"] if background else [])):
        own = found.get("train_of", {}).get(kind, {})
        found.train.update({key: value for key, value in own.items() if value})
        own.update(dict.fromkeys(own, 0))
    return found


Rules = Iterator[tuple[str, object, bool, str]]


def _data(config: ConfigDict) -> Rules:
    data, digits = config.data, sources.NAMES[:3]
    yield "data.source", data.source, data.source in digits, f"one of {', '.join(digits)}"
    yield "data.background", data.background, data.background in PICTURES, f"one of {', '.join(PICTURES)}"
    yield "data.num_digits", data.num_digits, 2 <= data.num_digits <= 9, "2 to 9"
    yield "data.size", data.size, data.size >= 2 and data.size % 2 == 0, "an even size, for a stride of 2"
    yield "data.max_overlap", data.max_overlap, 0 <= data.max_overlap <= 1, "a share within [0, 1]"
    yield "data.test_overlap", data.test_overlap, 0 < data.test_overlap <= 1, "a share within (0, 1]"
    yield "data.noise_variance", data.noise_variance, data.noise_variance >= 0, "a variance >= 0"
    yield "data.test_examples", data.test_examples, data.test_examples >= 1, "at least 1"
    yield "data.test_videos", data.test_videos, data.test_videos >= 1, "at least 1"


def _model(config: ConfigDict) -> Rules:
    model = config.model
    yield "model.channels", model.channels, model.channels >= 1, "at least 1"
    yield "model.kernel_size", model.kernel_size, _odd(model.kernel_size), "an odd size > 0, so that it has a centre"
    yield "model.rate", model.rate, _rate(model.rate), "a finite rate >= 0"
    yield "model.epsilon", model.epsilon, _rate(model.epsilon), "a finite strength >= 0"
    yield "model.num_steps", model.num_steps, model.num_steps >= 1, "at least 1"
    size = config.feedback_kernel_size
    yield "feedback_kernel_size", size, _odd(size), "an odd size > 0, so that it has a centre"
    for layer in ("all", *LAYERS):
        rates, three = config.feedback[layer], f"three finite rates >= 0, of {', '.join(LAYERS)}"
        good = len(rates.feedback_rates) == len(LAYERS) and all(map(_rate, rates.feedback_rates))
        yield f"feedback.{layer}.rate", rates.rate, _rate(rates.rate), "a finite rate >= 0"
        yield f"feedback.{layer}.feedback_rates", rates.feedback_rates, good, three


def _training(config: ConfigDict) -> Rules:
    train = config.train
    yield "models", config.models, bool(config.models), "at least one"
    yield "train.synchrony_weight", train.synchrony_weight, train.synchrony_weight >= 0, "a weight >= 0"
    yield "train.clip_norm", train.clip_norm, train.clip_norm > 0, "a norm > 0"
    yield "train.num_examples", train.num_examples, train.num_examples >= 5, "at least 5: a fifth is for validation"
    for kind, entries in config.get("train_of", {}).items():
        for key, value in entries.items():
            yield f"train_of.{kind}.{key}", value, 0 <= value < math.inf, "at least 0 (0: as in train)"
    vit = any(names.model(name).network == "vit" for name in config.models)
    size = config.data.size
    yield "data.size", size, size % 4 == 0 or not vit, "a multiple of 4, the patches of the model vit"
    yield "slice_size", config.slice_size, config.slice_size >= 0, "at least 0"


def _all_known(entry: str, found: tuple[str, ...], understand: Callable[[str], object]) -> None:
    for name in found:
        try:
            understand(name)
        except ValueError as error:
            raise ValueError(f"config.{entry}={found!r}: {error}") from error


def _odd(size: int) -> bool:
    return size > 0 and size % 2 == 1


def _rate(value: float) -> bool:
    return 0 <= value < math.inf
