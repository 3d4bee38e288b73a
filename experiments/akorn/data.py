"""The boards and pictures that models are trained on, and the test sets."""

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from data_gen import sudoku

Arrays = dict[str, np.ndarray]
Table = Mapping[str, Any]

SETS = ("sudoku",)
KINDS = {"test": "boards or pictures like those of the training", "sparse": "Sudokus with fewer givens"}

_SEEDS = {"train": 0, "validation": 1, "test": 2, "sparse": 3}


class Data:
    """Arrays of every split, made when they are first requested and kept for the models that share them.

    A split of Sudokus has puzzles int8 (N, 9, 9), 0 for a blank, and solutions int8 (N, 9, 9), 1 to 9.
    """

    def __init__(self, config: ConfigDict) -> None:
        self.config = config
        self._boards = cache(self._make_boards)

    def of_model(self, model: Table, tests: Mapping[str, Table]) -> dict[str, Callable[[], Arrays]]:
        """Split -> function that returns its arrays, for a model's table and the table of each test set, by label."""
        data, count = self.config.data, model["train"]["num_examples"] or self.config.train.num_examples
        train = {"train": partial(self._boards, "train", count)}
        train["validation"] = partial(self._boards, "validation", data.validation_examples)
        return train | {label: partial(self._boards, test["kind"], data.test_examples) for label, test in tests.items()}

    def _make_boards(self, split: str, count: int) -> Arrays:
        sparse = split == "sparse"
        boards = sudoku.load(
            seed=_SEEDS[split],
            num_examples=count,
            kind="sparse" if sparse else "dense",
            givens=self.config.data.sparse_givens if sparse else self.config.data.givens,
        )
        return boards._asdict()
