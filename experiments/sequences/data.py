"""The sequences that models are trained on, and the test set."""

from collections.abc import Callable, Mapping
from functools import cache, partial

import jax
import numpy as np
from ml_collections import ConfigDict

from data_gen import sources
from experiments.engine import Table
from experiments.sequences.problems import problem_of

Arrays = dict[str, np.ndarray]

# Above every seed of a run, so that no training sequence has the key of one that is validated or tested.
_KEYS = {"validation": np.uint32(2**31), "test": np.uint32(2**31 + 1)}


class Data:
    """Arrays of every split, made when they are first requested and kept for the models that share them.

    A split has inputs, float32 (N, L, C), and labels, int32 (N,) of pictures or (N, L) of copying, or target (N,) of
    adding. Pixels are in [0, 1], row by row or in the order of the config's permutation. Sequences to copy or to add
    are drawn anew for every update, by the key of their place in it: of the split of training there are numbers only.
    """

    def __init__(self, config: ConfigDict) -> None:
        self.config = config
        self._made = cache(self._pictures if problem_of(config).draw is None else self._drawn)

    def of_model(self, model: Table, tests: Mapping[str, Table]) -> dict[str, Callable[[], Arrays]]:
        """Split -> function that returns its arrays, for a model's table and the table of each test set, by label."""
        data, count = self.config.data, model["train"]["num_examples"] or self.config.train.num_examples
        train = {"train": partial(self._made, "train", count)}
        train["validation"] = partial(self._made, "validation", data.validation_examples)
        return train | {label: partial(self._made, "test", data.test_examples) for label in tests}

    def _drawn(self, split: str, count: int) -> Arrays:
        if split == "train":
            return {"number": np.arange(count, dtype=np.int32)}
        draw, length = problem_of(self.config).draw, self.config.data.length
        keys = jax.random.split(jax.random.key(_KEYS[split]), count)
        return jax.tree.map(np.asarray, jax.jit(jax.vmap(partial(draw, length=length)))(keys))

    def _pictures(self, split: str, count: int) -> Arrays:
        data = self.config.data
        whole = sources.load(data.set, "test" if split == "test" else "train", data_dir=data.dir)
        if split != "test":
            rest, held_out = sources.hold_out(whole, share=data.validation_examples / len(whole.labels))
            whole = held_out if split == "validation" else rest
        if count > len(whole.labels):
            raise ValueError(f"split {split!r} of {data.set!r} has {len(whole.labels)}, not {count}")
        pixels = whole.images[:count].reshape(count, -1)
        pixels = pixels[:, order(data.permutation, pixels.shape[1])]
        return {"inputs": (pixels / np.float32(255))[..., None], "labels": whole.labels[:count]}


def order(seed: int | None, length: int) -> np.ndarray:
    """The pixels in the order in which they are read: a permutation by its seed, the same on every machine."""
    if seed is None:
        return np.arange(length)
    return np.asarray(jax.random.permutation(jax.random.key(seed), length))
