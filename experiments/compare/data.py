"""The scenes of two objects that all networks are trained on, and the test sets."""

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from data_gen import corruptions, multi_mnist, sources, tetrominoes
from experiments import groups
from experiments.engine import Table
from experiments.gaspnet.data import pooled

Arrays = dict[str, np.ndarray]

CLASSES = 10  # of the targets; tetrominoes have five of them
HOLD_OUT = 5  # every fifth training digit is for validation
KINDS = ("test", "noise", "overlap")

_SEEDS = {"train": 0, "validation": 1, "test": 2, "overlap": 3}
_NOISE_SEED = 4


class Set(NamedTuple):
    """A set of scenes."""

    colours: int  # channels of an image
    segmented: str  # the set of `experiments.waves` with the same classes of pixels
    chance: float  # mean share of its objects that guessing finds


# Two tetrominoes are of one kind in a fifth of the scenes, which then ask for one class of five.
SETS = {
    "digits": Set(1, "multi_mnist", 2 / 10),
    "tetrominoes": Set(3, "tetrominoes", 0.8 * 2 / 5 + 0.2 * 1 / 5),
}


def image_shape(config: ConfigDict) -> tuple[int, int, int]:
    """Height, width and channels of an image."""
    return config.data.size, config.data.size, SETS[config.data.set].colours


class Data:
    """Arrays of every split, made when they are first requested and kept for the models that share them.

    A split has images float32 (N, H, W, C) in [0, 1]; targets, multi-hot (N, 10); for networks with phases masks of
    the objects, bool (N, H, W, 2), and overlap (N, H, W), for GASPnet `experiments.gaspnet.data.pooled`; for
    segmenters labels (N, H, W), the class + 1 of every pixel, 0 for the background and where objects overlap; and
    objects (N, H, W), 1 and 2, 0 for the background, -1 where they overlap. No two splits share a digit.
    """

    def __init__(self, config: ConfigDict) -> None:
        self.config = config
        self._load = cache(partial(sources.load_split, every=HOLD_OUT, data_dir=config.data.dir))
        self._scenes = cache(self._make)

    def of_model(self, model: Table, pools: bool, tests: Mapping[str, Table]) -> dict[str, Callable[[], Arrays]]:
        """Split -> function that returns its arrays.

        Args:
            model: the table of a model.
            pools: whether its masks are those of GASPnet's first block.
            tests: tables of the test sets, by label.
        """
        count = model["train"]["num_examples"] or self.config.train.num_examples
        made = {
            "train": partial(self._scenes, "train", count),
            "validation": partial(self._scenes, "validation", self.config.data.validation_examples),
            **{label: partial(self._test, test) for label, test in tests.items()},
        }
        return {split: partial(_with_pooled, make) for split, make in made.items()} if pools else made

    def _test(self, test: Table) -> Arrays:
        split = "overlap" if test["kind"] == "overlap" else "test"
        scenes = self._scenes(split, test["grouped"] or self.config.data.test_examples, test["max_overlap"] or 0.0)
        if test["kind"] != "noise":
            return scenes
        return {**scenes, "images": corruptions.gaussian_noise(scenes["images"], std=test["std"], seed=_NOISE_SEED)}

    def _make(self, split: str, count: int, max_overlap: float = 0.0) -> Arrays:
        settings = {"seed": _SEEDS[split], "num_examples": count, "size": self.config.data.size}
        if self.config.data.set == "tetrominoes":
            return self._pieces(settings)
        digits = self._load(self.config.data.source, "test" if split == "overlap" else split)
        scenes = multi_mnist.generate(digits, max_overlap=max_overlap, **settings)
        return _arrays(scenes.images, scenes.masks, scenes.overlap, scenes.class_map(), scenes.multi_hot(CLASSES))

    def _pieces(self, settings: dict[str, int]) -> Arrays:
        kinds, pieces = (
            tetrominoes.generate(num_pieces=(2, 2), square=self.config.data.square, instances=each, **settings)
            for each in (False, True)
        )
        masks = pieces.labels[..., None] == 1 + np.arange(2)
        present = np.stack([(kinds.labels == 1 + k).any((1, 2)) for k in range(CLASSES)], axis=-1)
        return _arrays(kinds.images, masks, np.zeros(masks.shape[:-1], bool), kinds.labels, present)


def _arrays(images, masks, overlap, labels, targets) -> Arrays:
    return {
        "images": images,
        "masks": masks,
        "overlap": overlap,
        "targets": targets.astype(np.float32),
        "labels": labels.astype(np.uint8),
        "objects": groups.labels_of(masks, overlap).astype(np.int8),
    }


def _with_pooled(make: Callable[[], Arrays]) -> Arrays:
    scenes = make()
    return {**scenes, "masks": pooled(scenes["masks"])}
