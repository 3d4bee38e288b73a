"""The scenes that models are trained on, and the test sets."""

from collections.abc import Callable, Mapping
from functools import cache, partial

import numpy as np
from ml_collections import ConfigDict

from data_gen import corruptions, multi_mnist, overlay, sources
from experiments.engine import Table

Arrays = dict[str, np.ndarray]

SIZE = 32  # side of a scene in pixels
HOLD_OUT = 5  # every fifth training image is for validation
TARGETS = {"digits": "multi_hot", "overlay": "classes"}  # by config.data.scenes: what the targets are
KINDS = ("test", "gaussian", "salt_pepper", "item")

_SEEDS = {"train": 0, "validation": 1, "test": 2}
_GAUSSIAN_SEED, _SALT_PEPPER_SEED = 3, 4


class Data:
    """Arrays of every split, made when they are first requested and kept for the models that share them.

    Training and validation scenes are made of disjoint four and one fifth of the training images, test scenes of the
    test images. A split has images (N, 32, 32, C); masks bool (N, 16, 16, 1 + G), of the background and of each object,
    at the resolution of the first block; targets, of scenes of digits multi-hot (N, 10), of overlays the classes (N, 2)
    of item and picture.
    """

    def __init__(self, config: ConfigDict) -> None:
        self.config = config
        self._load = cache(partial(sources.load_split, every=HOLD_OUT, data_dir=config.data.dir))
        self._scenes = cache(self._make)

    def of_model(self, model: Table, tests: Mapping[str, Table]) -> dict[str, Callable[[], Arrays]]:
        """Split -> function that returns its arrays, for a model's table and the table of each test set, by label."""
        data, count = self.config.data, model["train"]["num_examples"] or self.config.train.num_examples
        numbers = {"train": count, "validation": data.validation_examples}
        train = {split: partial(self._scenes, split, number, data.item_size) for split, number in numbers.items()}
        return train | {label: partial(self._test, test) for label, test in tests.items()}

    def _test(self, test: Table) -> Arrays:
        size = test["size"] if test["kind"] == "item" else self.config.data.item_size
        clean = self._scenes("test", test["grouped"] or self.config.data.test_examples, size)
        if test["kind"] in ("test", "item"):
            return clean
        images = clean["images"]
        if test["kind"] == "gaussian":
            return clean | {"images": corruptions.gaussian_noise(images, std=test["std"], seed=_GAUSSIAN_SEED)}
        return clean | {"images": corruptions.salt_and_pepper(images, share=test["share"], seed=_SALT_PEPPER_SEED)}

    def _make(self, split: str, num_examples: int, item_size: int) -> Arrays:
        data = self.config.data
        settings = {"seed": _SEEDS[split], "num_examples": num_examples}
        objects = self._load(data.source, split)
        if data.scenes == "digits":
            scenes = multi_mnist.generate(objects, **settings)
            return {"images": scenes.images, "masks": pooled(scenes.masks), "targets": scenes.multi_hot()}
        scenes = overlay.generate(objects, self._load(data.pictures, split), item_size=item_size, **settings)
        return {"images": scenes.images, "masks": pooled(scenes.masks[..., :1]), "targets": scenes.labels}


def pooled(objects: np.ndarray) -> np.ndarray:
    """Masks (N, H, W, G) of objects -> (N, H / 2, W / 2, 1 + G): the pixels of no object, and those of each."""
    count, height, width, number = objects.shape
    touched = objects.reshape(count, height // 2, 2, width // 2, 2, number).any((2, 4))
    return np.concatenate([~touched.any(-1, keepdims=True), touched], axis=-1)
