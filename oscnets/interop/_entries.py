"""What the tables of published state dicts are made of: entries, kinds, and layouts of arrays."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from flax import linen as nn

Sizes = dict[str, int]
Arrays = Mapping[str, np.ndarray]


class Entry(NamedTuple):
    """An array of a state dict.

    Attributes:
        path: its path among the variables of its collection; empty if it is not used.
        dims: names of its axes in PyTorch's order, equal names for equal sizes, digits for fixed ones.
        convert: (array, sizes) -> the parameter.
        optional: whether the key may be missing.
        collection: of the module's variables.
    """

    path: str
    dims: str
    convert: Callable[[np.ndarray, Sizes], np.ndarray] = lambda array, _: array
    optional: bool = False
    collection: str = "params"


class Kind(NamedTuple):
    """A published network.

    Attributes:
        entries: its arrays by key; a function of (arrays, overrides) where they depend on these.
        module: the Flax module.
        attributes: (sizes, arrays, overrides) -> the attributes of the module that are inferred from the arrays.
        unused: endings of keys that are ignored.
    """

    entries: dict[str, Entry] | Callable[[Arrays, Mapping[str, Any]], dict[str, Entry]]
    module: type[nn.Module]
    attributes: Callable[[Sizes, Arrays, Mapping[str, Any]], dict[str, Any]]
    unused: tuple[str, ...] = ()


def conv(array: np.ndarray, _: Sizes) -> np.ndarray:
    """(C_out, C_in, kh, kw) -> (kh, kw, C_in, C_out)."""
    return array.transpose(2, 3, 1, 0)


def conv_transpose(array: np.ndarray, _: Sizes) -> np.ndarray:
    """(C_in, C_out, kh, kw) -> (kh, kw, C_in, C_out)."""
    return array.transpose(2, 3, 0, 1)


def dense(array: np.ndarray, _: Sizes) -> np.ndarray:
    """(outputs, inputs) -> (inputs, outputs)."""
    return array.T


def pointwise(array: np.ndarray, _: Sizes) -> np.ndarray:
    """(C_out, C_in, 1, 1) -> (C_in, C_out)."""
    return array[:, :, 0, 0].T
