"""The scenes that models train on, and the test sets."""

from collections.abc import Callable, Sequence
from functools import cache, partial

import numpy as np
from ml_collections import ConfigDict

from data_gen import corruptions, multi_mnist, overlay, sources
from experiments.engine.training.splits import TRAINING
from experiments.gaspnet import names

Arrays = dict[str, np.ndarray]

VALIDATION = 5  # every fifth image of a base is for validation


class Data:
    """Arrays of every split, made when they are first asked for and kept for the models that share them.

    Training and validation scenes are made of disjoint four and one fifth of the training images, test scenes of the
    test images. A split holds images (N, 32, 32, C); masks bool (N, 16, 16, G), of the background and of each object,
    at the resolution of the first block; targets, two-hot (N, 10) of digits, or (N, 2) classes of item and picture.
    """

    def __init__(self, config: ConfigDict) -> None:
        self.config = config
        self._load = cache(partial(sources.load, data_dir=config.data.dir or None))
        self._scenes = cache(self._make)

    def splits(self, tests: Sequence[str]) -> dict[str, Callable[[], Arrays]]:
        """Split -> function that gives its arrays, for training and for the named test sets."""
        data = self.config.data
        of_training = {split: partial(self._scenes, split, data.item_size) for split in TRAINING}
        return of_training | {split: partial(self._test, split) for split in tests}

    def _test(self, name: str) -> Arrays:
        kind, level = names.test_set(name)
        if kind == "item":
            return self._scenes("test", level)
        clean = self._scenes("test", self.config.data.item_size)
        if kind == "gaussian":
            return {**clean, "images": corruptions.gaussian_noise(clean["images"], std=level, seed=3)}
        if kind == "salt_pepper":
            return {**clean, "images": corruptions.salt_and_pepper(clean["images"], share=level, seed=4)}
        return clean

    def _make(self, split: str, item_size: int) -> Arrays:
        data = self.config.data
        number = {"train": self.config.train.num_examples, "validation": data.validation_examples}
        settings = {
            "seed": ("train", "validation", "test").index(split),
            "num_examples": number.get(split, data.test_examples),
        }
        objects = self._base(data.source, split)
        if data.scenes == "digits":
            scenes = multi_mnist.generate(objects, **settings)
            return {"images": scenes.images, "masks": _pooled(scenes.masks), "targets": scenes.multi_hot()}
        scenes = overlay.generate(objects, self._base(data.pictures, split), item_size=item_size, **settings)
        return {"images": scenes.images, "masks": _pooled(scenes.masks[..., :1]), "targets": scenes.labels}

    def _base(self, source: str, split: str) -> sources.Base:
        if split not in TRAINING:
            return self._load(source, "test")
        base = self._load(source, "train")
        held_out = np.arange(len(base.labels)) % VALIDATION == VALIDATION - 1
        chosen = held_out if split == "validation" else ~held_out
        return sources.Base(base.images[chosen], base.labels[chosen])


def _pooled(objects: np.ndarray) -> np.ndarray:
    """(N, H, W, n) masks of objects -> (N, H / 2, W / 2, 1 + n): what no object touches, and what each touches."""
    count, height, width, number = objects.shape
    touched = objects.reshape(count, height // 2, 2, width // 2, 2, number).any((2, 4))
    return np.concatenate([~touched.any(-1, keepdims=True), touched], axis=-1)
