"""The pictures that models are trained on, and the test set."""

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from data_gen import polygons, segmentation, sources, tetrominoes
from experiments.engine import Table

Arrays = dict[str, np.ndarray]

HOLD_OUT = 0.15  # share of the training digits that is for validation: 9,000 of MNIST's 60,000
_SEEDS = {"train": 0, "validation": 1, "test": 2}


class Set(NamedTuple):
    """A set of pictures."""

    classes: tuple[str, ...]  # names of classes 1 and on; 0 is the background
    colours: int  # channels of an image

    @property
    def num_classes(self) -> int:
        """K, with the background."""
        return len(self.classes) + 1


_DIGITS = Set(tuple("0123456789"), 1)
SETS = {
    "tetrominoes": Set(("I", "O", "T", "S, Z", "J, L"), 3),
    "mnist": _DIGITS,
    "multi_mnist": _DIGITS,
    "polygons": Set(("triangle", "quadrilateral", "pentagon", "hexagon"), 1),
}


class Data:
    """Arrays of every split, made when they are first requested and kept for the models that share them.

    A split has images, float32 (N, H, W, C) in [0, 1], and labels, uint8 (N, H, W), 0 for the background; that of
    validation also `watched`, bool (N,): the pictures whose waves are measured. No two splits share a digit.
    """

    def __init__(self, config: ConfigDict) -> None:
        self.config = config
        load = partial(sources.load_split, config.data.source, share=HOLD_OUT, seed=0, data_dir=config.data.dir)
        self._digits = cache(load)
        self._made = cache(self._make)

    def of_model(self, model: Table, tests: Mapping[str, Table]) -> dict[str, Callable[[], Arrays]]:
        """Split -> function that returns its arrays, for a model's table and the table of each test set, by label."""
        data, count = self.config.data, model["train"]["num_examples"] or self.config.train.num_examples
        train = {"train": partial(self._made, "train", count)}
        train["validation"] = partial(self._made, "validation", data.validation_examples)
        return train | {label: partial(self._made, "test", data.test_examples) for label in tests}

    def _make(self, split: str, count: int) -> Arrays:
        data = self.config.data
        if data.set == "mnist":
            maps = self._every_digit(split, count)
        else:
            settings = {"seed": _SEEDS[split], "num_examples": count, "size": data.size}
            maps = self._generated(split, settings)
        arrays = {"images": maps.images, "labels": maps.labels.astype(np.uint8)}
        return arrays | ({"watched": np.arange(count) < data.watched} if split == "validation" else {})

    def _generated(self, split: str, settings: dict[str, int]) -> segmentation.LabelMaps:
        data = self.config.data
        if data.set == "tetrominoes":
            return tetrominoes.generate(num_pieces=data.num_objects, square=data.square, **settings)
        if data.set == "polygons":
            return polygons.generate(num_polygons=data.num_objects, radius=data.radius, **settings)
        sizes = {"num_digits": data.num_objects, "digit_size": data.digit_size}
        return segmentation.multi_mnist(self._digits(split), **sizes, **settings)

    def _every_digit(self, split: str, count: int) -> segmentation.LabelMaps:
        base = self._digits(split)
        if count > len(base.labels):
            raise ValueError(f"split {split!r} of {self.config.data.source!r} has {len(base.labels)}, not {count}")
        return segmentation.mnist(sources.Base(*(a[:count] for a in base)), size=self.config.data.size)
