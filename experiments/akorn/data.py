"""The boards and pictures that models are trained on, and the test sets."""

from collections.abc import Callable, Mapping
from functools import cache, partial

import numpy as np
from ml_collections import ConfigDict

from data_gen import shapes, sudoku, tetrominoes
from experiments.engine import Table

Arrays = dict[str, np.ndarray]

SETS = ("sudoku", "shapes", "tetrominoes")
KINDS = {"test": "boards or pictures like those of the training", "sparse": "Sudokus with fewer givens"}
SIZE = 32  # side of a picture, pixels

_SEEDS = {"train": 0, "validation": 1, "test": 2, "sparse": 3}


def colours(config: ConfigDict) -> int:
    """Channels of a picture."""
    return 3 if config.data.set == "tetrominoes" else shapes.CHANNELS[config.data.colour]


def num_groups(config: ConfigDict) -> int:
    """Clusters of a picture: the most objects there are, and the background."""
    data = config.data
    return 1 + (data.num_shapes if data.set == "shapes" else data.num_pieces[1])


def true_labels(data: Arrays) -> np.ndarray:
    """Those of a split of pictures, for `groups.on_host`."""
    return data["labels"]


class Data:
    """Arrays of every split, made when they are first requested and kept for the models that share them.

    A split of Sudokus has puzzles int8 (N, 9, 9), 0 for a blank, and solutions int8 (N, 9, 9), 1 to 9. One of pictures
    has images float32 (N, 32, 32, C) in [0, 1] and labels int8 (N, 32, 32), 0 for the background, a number for each
    object, -1 for pixels of several.
    """

    def __init__(self, config: ConfigDict) -> None:
        self.config = config
        self._made = cache(self._boards if config.data.set == "sudoku" else self._pictures)

    def of_model(self, model: Table, tests: Mapping[str, Table]) -> dict[str, Callable[[], Arrays]]:
        """Split -> function that returns its arrays, for a model's table and the table of each test set, by label."""
        data, count = self.config.data, model["train"]["num_examples"] or self.config.train.num_examples
        train = {"train": partial(self._made, "train", count)}
        train["validation"] = partial(self._made, "validation", data.validation_examples)
        return train | {label: partial(self._made, test["kind"], data.test_examples) for label, test in tests.items()}

    def _boards(self, split: str, count: int) -> Arrays:
        sparse = split == "sparse"
        boards = sudoku.load(
            seed=_SEEDS[split],
            num_examples=count,
            kind="sparse" if sparse else "dense",
            givens=self.config.data.sparse_givens if sparse else self.config.data.givens,
        )
        return boards._asdict()

    def _pictures(self, split: str, count: int) -> Arrays:
        data = self.config.data
        settings = {"seed": _SEEDS[split], "num_examples": count, "size": SIZE}
        if data.set == "shapes":
            maps = shapes.generate(num_shapes=data.num_shapes, colour=data.colour, **settings)
        else:
            maps = tetrominoes.generate(num_pieces=data.num_pieces, square=data.square, instances=True, **settings)
        return {"images": maps.images, "labels": maps.labels.astype(np.int8)}
