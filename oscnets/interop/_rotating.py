"""State dicts of Rotating Features and of the Complex AutoEncoder."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from oscnets.interop._entries import Arrays, Entry, Kind, Sizes, conv, conv_transpose, dense
from oscnets.models import RotatingFeatures


def _flat(array: np.ndarray, _: Sizes) -> np.ndarray:
    """(1, C, 1, 1) -> (C,)."""
    return array.reshape(-1)


def _components_last(array: np.ndarray, _: Sizes) -> np.ndarray:
    """(1, n, C, 1, 1) or (1, n, F) -> (C, n)."""
    return array.reshape(array.shape[1:3]).T


def _norm(key: str, path: str, width: str, running: bool) -> dict[str, Entry]:
    entries = {
        f"{key}.weight": Entry(f"{path}/norm/scale", width),
        f"{key}.bias": Entry(f"{path}/norm/shift", width),
    }
    if running:
        entries[f"{key}.running_mean"] = Entry(f"{path}/norm/mean", width, collection="batch_stats")
        entries[f"{key}.running_var"] = Entry(f"{path}/norm/variance", width, collection="batch_stats")
    return entries


def _rotation_biases(key: str, path: str, width: str, image: bool) -> dict[str, Entry]:
    dims = f"1 components {width}" + " 1 1" * image
    return {f"{key}.rotation_bias": Entry(f"{path}/bias", dims, _components_last)}


def _polar_biases(key: str, path: str, width: str, image: bool) -> dict[str, Entry]:
    dims = f"1 {width}" + " 1 1" * image
    return {f"{key}.{name}": Entry(f"{path}/{name}", dims, _flat) for name in ("magnitude_bias", "phase_bias")}


def _layers(
    arrays: Arrays,
    chain: str,
    biases: Callable[[str, str, str, bool], dict[str, Entry]],
    norm: Callable[[str, str, int], str],
) -> dict[str, Entry]:
    """Both halves; `norm` is the key of the norm of (half, layer, its number), where 5 is that of the dense layer."""
    widths = {"encoder": ["colours", *(f"wide_{i}" for i in range(5))]}
    widths["decoder"] = ["wide_4", *(f"narrow_{i}" for i in range(4)), "colours"]
    entries = {}
    for half, names in widths.items():
        for i, (before, after) in enumerate(pairwise(names)):
            key, path = f"{half}.{chain}.{i}", f"{half}_{i}"
            if f"{key}.conv_tran.weight" in arrays:
                entries[f"{key}.conv_tran.weight"] = Entry(f"{path}/kernel", f"{before} {after} 3 3", conv_transpose)
            else:
                entries[f"{key}.conv.weight"] = Entry(f"{path}/kernel", f"{after} {before} 3 3", conv)
            entries |= biases(key, path, after, True) | _norm(norm(half, key, i), path, after, running=True)
        key, path, ends = f"{half}.linear", f"{half}_dense", ("latent", "flat")
        after, before = ends if half == "encoder" else ends[::-1]
        entries[f"{key}.fc.weight"] = Entry(f"{path}/kernel", f"{after} {before}", dense)
        entries |= biases(key, path, after, False) | _norm(norm(half, key, 5), path, after, running=False)
    return entries


def _rotating(arrays: Arrays, _: Mapping[str, Any]) -> dict[str, Entry]:
    entries = _layers(arrays, "convolutional", _rotation_biases, lambda _, key, __: f"{key}.norm")
    entries["output_weight"] = Entry("output_scale", "colours")
    entries["output_bias"] = Entry("output_shift", "1 colours 1 1", _flat)
    if any(key.startswith("preprocess_model.") for key in arrays):
        front = _norm("preprocess_model.0", "input", "colours", running=True)
        entries |= {key: entry._replace(path=entry.path.replace("input/", "input_")) for key, entry in front.items()}
    return entries


def _complex(arrays: Arrays, _: Mapping[str, Any]) -> dict[str, Entry]:
    entries = _layers(arrays, "conv_model", _polar_biases, lambda half, _, i: f"{half}.channel_norm.{i}")
    pointwise = lambda array, _: array[:, :, 0, 0].T  # noqa: E731
    entries["output_model.weight"] = Entry("output_kernel", "colours colours 1 1", pointwise)
    return entries | {"output_model.bias": Entry("output_shift", "colours")}


def _rotating_attributes(sizes: Sizes, arrays: Arrays, _: Any) -> dict[str, Any]:
    frozen = any(key.startswith("preprocess_model.") for key in arrays)
    return _sizes(sizes) | {"components": sizes["components"], "frozen_features": frozen}


def _sizes(sizes: Sizes) -> dict[str, Any]:
    return {"channels": sizes["wide_0"], "latent": sizes["latent"]}


ROTATING = Kind(_rotating, RotatingFeatures, _rotating_attributes)
COMPLEX = Kind(_complex, RotatingFeatures, lambda sizes, *_: _sizes(sizes) | {"components": 2, "biases": "polar"})
