"""The pictures that models train on, and the test set."""

from collections.abc import Callable
from functools import cache, partial

import numpy as np
from ml_collections import ConfigDict

from data_gen import polygons, segmentation, sources, tetrominoes

Arrays = dict[str, np.ndarray]

HELD_OUT = 0.15  # of the digits of the training split are for validation: 9,000 of MNIST's 60,000
_SEEDS = {"train": 0, "validation": 1, "test": 2}


class Data:
    """Arrays of every split, made when they are first asked for and kept for the models that share them.

    A split holds images, float32 (N, H, W, C) in [0, 1], and labels, uint8 (N, H, W), 0 for the background; that of
    validation also `watched`, bool (N,): whose waves are measured. No two splits share a digit.
    """

    def __init__(self, config: ConfigDict) -> None:
        self.config = config
        self._digits = cache(partial(sources.load, config.data.source, data_dir=config.data.dir or None))
        self._made = cache(self._make)

    def splits(self) -> dict[str, Callable[[], Arrays]]:
        """Split -> function that gives its arrays."""
        return {split: partial(self._made, split) for split in _SEEDS}

    def _make(self, split: str) -> Arrays:
        data = self.config.data
        counts = {"train": self.config.train.num_examples, "validation": data.validation_examples}
        count = counts.get(split, data.test_examples)
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
        digits = self._base(split)
        return segmentation.multi_mnist(digits, num_digits=data.num_objects, digit_size=data.digit_size, **settings)

    def _every_digit(self, split: str, count: int) -> segmentation.LabelMaps:
        base = self._base(split)
        if count > len(base.labels):
            raise ValueError(f"split {split!r} of {self.config.data.source!r} has {len(base.labels)}, not {count}")
        return segmentation.mnist(sources.Base(*(a[:count] for a in base)), size=self.config.data.size)

    def _base(self, split: str) -> sources.Base:
        if split == "test":
            return self._digits("test")
        base = self._digits("train")
        parts = sources.hold_out(base, share=HELD_OUT)
        return parts[split == "validation"]
