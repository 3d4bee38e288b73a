"""The scenes that models are trained on, and the test sets."""

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from data_gen import backgrounds, corruptions, moving_digits, multi_mnist, sources
from experiments.engine import Table

Arrays = dict[str, np.ndarray]

CLASSES = 10
HOLD_OUT = 5  # every fifth training digit and picture, and a fifth of the scenes, are for validation

STILL = ("test", "overlap", "noise")
# Videos of two digits: one step of the dynamics per frame, forwards and backwards in time, and every frame on its own.
VIDEOS = ("moving", "moving_backwards", "frames")

_SEEDS = {"train": 0, "validation": 1, "test": 2, "overlap": 3}
_NOISE_SEED, _VIDEO_SEED = 4, 5


class Scenes(NamedTuple):
    """What a split's scenes show: how many digits, and whether pictures lie behind them."""

    num_digits: int
    background: bool


def of_training(config: ConfigDict, model: Table) -> Scenes:
    """The scenes that a model is trained on."""
    return Scenes(model["num_digits"] or config.data.num_digits, model["background"])


def of_test(config: ConfigDict, model: Table, test: Table) -> Scenes:
    """The scenes of a test set; those of the model's training where its table has no other."""
    if test["kind"] in VIDEOS:
        return Scenes(2, False)
    trained = of_training(config, model)
    background = trained.background if test["background"] is None else test["background"]
    return Scenes(test["num_digits"] or trained.num_digits, background)


class Data:
    """Arrays of every split, made when they are first requested and kept for the models that share them.

    Training and validation scenes are made of disjoint four and one fifth of the source's training digits, test scenes
    of its test digits; pictures behind them are drawn from the same splits of their own source.

    A split of still scenes has images (N, H, W, C), masks of each digit, bool (N, H, W, G), overlap, bool (N, H, W),
    and multi-hot targets (N, 10); one of videos has a frame axis after N in all but the targets.
    """

    def __init__(self, config: ConfigDict) -> None:
        self.config = config
        self._load = cache(partial(sources.load_split, every=HOLD_OUT, data_dir=config.data.dir))
        self._scenes = cache(self._make_scenes)
        self._videos = cache(self._make_videos)

    def of_model(self, model: Table, tests: Mapping[str, Table]) -> dict[str, Callable[[], Arrays]]:
        """Split -> function that returns its arrays, for a model's table and the table of each test set, by label."""
        training = of_training(self.config, model)
        colour = training.background and self.config.data.colour
        total = model["train"]["num_examples"] or self.config.train.num_examples
        held_out = total // HOLD_OUT
        numbers = {"train": total - held_out, "validation": held_out}
        train = {split: partial(self._scenes, split, count, training, colour) for split, count in numbers.items()}
        return train | {label: partial(self._test, model, test) for label, test in tests.items()}

    def _test(self, model: Table, test: Table) -> Arrays:
        """The scenes of a test set, in colour if the model was trained on colour."""
        colour = model["background"] and self.config.data.colour
        shown = of_test(self.config, model, test)
        if test["kind"] in VIDEOS:
            scenes = self._videos(test["kind"] == "moving_backwards", test["max_overlap"])
        else:
            split, overlap = ("overlap", test["max_overlap"]) if test["kind"] == "overlap" else ("test", None)
            count = test["grouped"] or self.config.data.test_examples
            scenes = self._scenes(split, count, shown, colour and shown.background, overlap)
        images = scenes["images"]
        if colour and not shown.background:
            images = np.repeat(images, 3, axis=-1)
        if test["kind"] == "noise":
            images = corruptions.gaussian_noise(images, std=test["variance"] ** 0.5, seed=_NOISE_SEED)
        return {**scenes, "images": images}

    def _make_scenes(self, split: str, count: int, shown: Scenes, colour: bool, overlap: float | None = None) -> Arrays:
        data = self.config.data
        settings = {
            "num_digits": shown.num_digits,
            "max_overlap": data.max_overlap if overlap is None else overlap,
            "size": data.size,
            "seed": _SEEDS[split],
            "num_examples": count,
        }
        base_split = "test" if split == "overlap" else split
        digits = self._load(data.source, base_split)
        if shown.background:
            pictures = self._load(data.background, base_split)
            return _arrays(backgrounds.generate(digits, pictures, colour=colour, **settings))
        return _arrays(multi_mnist.generate(digits, **settings))

    def _make_videos(self, backwards: bool, max_overlap: float) -> Arrays:
        data = self.config.data
        videos = moving_digits.generate(
            self._load(data.source, "test"),
            seed=_VIDEO_SEED,
            num_examples=data.test_videos,
            max_overlap=max_overlap,
            size=data.size,
        )
        # As many frames before the middle one as after it, so that forwards and backwards show the same frames.
        reach = min(videos.middle, videos.frames.shape[1] - 1 - videos.middle)
        order = np.arange(videos.middle - reach, videos.middle + reach + 1)[:: -1 if backwards else 1]
        targets = np.zeros((len(videos), CLASSES), np.float32)
        np.put_along_axis(targets, videos.labels, 1, axis=1)
        by_frame = {"images": videos.frames, "masks": videos.masks, "overlap": videos.overlap}
        return {name: array[:, order] for name, array in by_frame.items()} | {"targets": targets}


def _arrays(scenes: multi_mnist.Scenes) -> Arrays:
    return {
        "images": scenes.images,
        "masks": scenes.masks,
        "overlap": scenes.overlap,
        "targets": scenes.multi_hot(),
    }
