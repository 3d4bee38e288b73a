"""The data of a model by split, each loaded when it is first asked for."""

from collections.abc import Callable, Iterator, Mapping

import jax
import numpy as np

from experiments.engine.process.errors import RunError
from experiments.engine.run.config import RESERVED as TRAINING
from experiments.engine.training.task import PyTree


class Splits(Mapping):
    """Split -> pytree of numpy arrays of equal leading length; every split beside `TRAINING` is a test split.

    Args:
        sources: by split: its arrays, or a function that gives them.

    Raises:
        RunError: "train" or "validation" is missing; on access, a split cannot be loaded or its lengths differ.
    """

    def __init__(self, sources: Mapping[str, PyTree | Callable[[], PyTree]]) -> None:
        for name in TRAINING:
            if name not in sources:
                raise RunError(f"the data has no split {name!r}; it has {', '.join(sources)}")
        self._sources = dict(sources)

    def __getitem__(self, name: str) -> PyTree:
        if callable(source := self._sources[name]):
            self._sources[name] = load_or_fail(source)
        _check_lengths(name, self._sources[name])
        return self._sources[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def __len__(self) -> int:
        return len(self._sources)

    @property
    def tests(self) -> list[str]:
        """The test splits' names."""
        return [name for name in self if name not in TRAINING]


def load_or_fail(source: Callable[..., PyTree], *args: str) -> PyTree:
    """The result of `source(*args)`; RunError where data cannot be loaded."""
    try:
        return source(*args)
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        raise RunError(f"cannot load the data: {type(error).__name__}: {error}") from error


def num_examples(data: PyTree) -> int:
    """The common leading length of a split's arrays."""
    return len(jax.tree.leaves(data)[0])


def _check_lengths(name: str, split: PyTree) -> None:
    paths = jax.tree_util.tree_flatten_with_path(split)[0]
    lengths = {jax.tree_util.keystr(path): np.shape(leaf)[0] if np.ndim(leaf) else 0 for path, leaf in paths}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        raise RunError(f"split {name!r}: arrays must have one leading length of at least 1, got {lengths}")
