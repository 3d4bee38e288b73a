"""The scenes of every model's training, and the test sets."""

from collections.abc import Callable, Sequence
from functools import cache, partial

import numpy as np
from ml_collections import ConfigDict

from data_gen import backgrounds, corruptions, moving_digits, multi_mnist, sources
from experiments.engine.training.splits import TRAINING
from experiments.komplexnet import names

Arrays = dict[str, np.ndarray]

CLASSES = 10
VALIDATION = 5  # every fifth digit and scene is for validation


class Data:
    """What `load` gives, made when it is first asked for and kept for the models that share it.

    Training and validation scenes are made of disjoint four and one fifth of the source's training digits, test scenes
    of its test digits; pictures behind them come from the same splits of their own source.
    """

    def __init__(self, config: ConfigDict) -> None:
        self.config = config
        self._load = cache(partial(sources.load, data_dir=config.data.dir or None))
        self._scenes = cache(self._make_scenes)
        self._videos = cache(self._make_videos)

    def of_model(self, name: str, tests: Sequence[str]) -> dict[str, Callable[[], Arrays]]:
        """Split -> function that gives its arrays, for a model that is to be measured on the named test sets."""
        model = names.model(name)
        model = model._replace(num_digits=model.num_digits or self.config.data.num_digits)
        coloured = model.background and self.config.data.colour
        train = {
            split: partial(self._scenes, split, model.num_digits, model.background, coloured) for split in TRAINING
        }
        return train | {split: partial(self._test, names.test_set(split), model) for split in tests}

    def _test(self, test: names.TestSet, model: names.Model) -> Arrays:
        """The scenes of a test set as a model sees them: in colour, if it was trained so."""
        coloured, pictures = model.background and self.config.data.colour, False
        if test.kind in names.VIDEOS:
            scenes = self._videos(test.kind == "moving_backwards")
        else:
            pictures = model.background if test.background is None else test.background
            split, overlap = ("overlap", test.level) if test.kind == "overlap" else ("test", None)
            scenes = self._scenes(split, test.num_digits or model.num_digits, pictures, coloured and pictures, overlap)
        images = scenes["images"]
        if coloured and not pictures:
            images = np.repeat(images, 3, axis=-1)
        if test.kind == "noise":
            variance = self.config.data.noise_variance if test.level is None else test.level
            images = corruptions.gaussian_noise(images, std=variance**0.5, seed=4)
        return {**scenes, "images": images}

    def _make_scenes(
        self, split: str, count: int, background: bool, colour: bool, overlap: float | None = None
    ) -> Arrays:
        data, total = self.config.data, self.config.train.num_examples
        if overlap is None:
            overlap = data.test_overlap if split == "overlap" else data.max_overlap
        held_out = total // VALIDATION
        number = {"train": total - held_out, "validation": held_out}.get(split, data.test_examples)
        seed = ("train", "validation", "test", "overlap").index(split)
        settings = {"num_digits": count, "max_overlap": overlap, "size": data.size}
        settings |= {"seed": seed, "num_examples": number}
        digits = self._base(data.source, split)
        if background:
            pictures = self._base(data.background, split)
            return _arrays(backgrounds.generate(digits, pictures, colour=colour, **settings))
        return _arrays(multi_mnist.generate(digits, **settings))

    def _make_videos(self, backwards: bool) -> Arrays:
        data = self.config.data
        videos = moving_digits.generate(
            self._load(data.source, "test"),
            seed=5,
            num_examples=data.test_videos,
            max_overlap=data.test_overlap,
            size=data.size,
        )
        # As many frames before the middle one as after it, so that it is the same from either end.
        reach = min(videos.middle, videos.frames.shape[1] - 1 - videos.middle)
        order = np.arange(videos.middle - reach, videos.middle + reach + 1)[:: -1 if backwards else 1]
        targets = np.zeros((len(videos), CLASSES), np.float32)
        np.put_along_axis(targets, videos.labels, 1, axis=1)
        films = {"images": videos.frames, "masks": videos.masks, "overlap": videos.overlap}
        return {name: array[:, order] for name, array in films.items()} | {"targets": targets}

    def _base(self, source: str, split: str) -> sources.Base:
        if split not in TRAINING:
            return self._load(source, "test")
        base = self._load(source, "train")
        held_out = np.arange(len(base.labels)) % VALIDATION == VALIDATION - 1
        chosen = held_out if split == "validation" else ~held_out
        return sources.Base(base.images[chosen], base.labels[chosen])


def _arrays(scenes: multi_mnist.Scenes) -> Arrays:
    return {
        "images": scenes.images,
        "masks": scenes.masks,
        "overlap": scenes.overlap,
        "targets": scenes.multi_hot(),
    }
