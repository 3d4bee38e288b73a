"""State dicts of AKOrN and of the iterated attention that it is compared with."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from oscnets.interop._entries import Arrays, Entry, Kind, Sizes, conv, dense, pointwise
from oscnets.models import AKOrN, ItrSA
from oscnets.models.attention import BLOCKS

_MATRICES = dict(zip(("mat_q", "mat_k", "mat_v", "mat_o"), BLOCKS, strict=True))


def _affine(key: str, path: str, dims: str, convert: Callable[..., np.ndarray]) -> dict[str, Entry]:
    """A weight and its bias."""
    return {
        f"{key}.weight": Entry(f"{path}_kernel", dims, convert),
        f"{key}.bias": Entry(f"{path}_bias", dims.split()[0]),
    }


def _head(arrays: Arrays) -> str:
    heads = {"embedding.weight": "sudoku", "conv0.weight": "classification"}
    return next((head for key, head in heads.items() if key in arrays), "discovery")


def _num_layers(arrays: Arrays) -> int:
    indices = [key.split(".")[1] for key in arrays if key.startswith("layers.")]
    return 1 + max((int(index) for index in indices if index.isdigit()), default=0)


def _coupling(arrays: Arrays, key: str, path: str, index: int, width: str) -> dict[str, Entry]:
    """A Kuramoto layer at `key`."""
    if f"{key}.connectivity.weight" in arrays:
        entries = {
            f"{key}.connectivity.weight": Entry(f"{path}/kernel", f"{width} {width} size_{index} size_{index}", conv),
            f"{key}.connectivity.bias": Entry(f"{path}/bias", width),
        }
    else:
        entries = _affine(f"{key}.connectivity.W_qkv", f"{path}/qkv", f"qkv_{index} {width} 1 1", pointwise)
        entries |= _affine(f"{key}.connectivity.W_o", f"{path}/out", f"{width} {width} 1 1", pointwise)
        if any(f"{key}.connectivity.{name}" in arrays for name in _MATRICES):
            for name, to in _MATRICES.items():
                entries[f"{key}.connectivity.{name}"] = Entry(f"{path}/{to}_blocks", "positions pairs 2 2")
    if (omega := f"{key}.omg.omg_param") in arrays:
        entries[omega] = Entry(f"{path}/rotation", "2" if len(arrays[omega].shape) == 1 else f"turns_{index} 2")
    for name in ("weight", "scale"):
        if f"{key}.c_norm.{name}" in arrays:
            entries[f"{key}.c_norm.{name}"] = Entry(f"{path}/scale", width)
            entries[f"{key}.c_norm.bias"] = Entry(f"{path}/shift", width)
    return entries


def _readout(key: str, path: str, index: int, width: str, size: str) -> dict[str, Entry]:
    return {
        f"{key}.invconv.weight": Entry(f"{path}/kernel", f"read_{index} {width} {size} {size}", conv),
        f"{key}.invconv.bias": Entry(f"{path}/kernel_bias", f"read_{index}"),
        f"{key}.bias": Entry(f"{path}/bias", width),
    }


def _perceptron(key: str, index: int, width: str, size: str, normed: bool) -> dict[str, Entry]:
    """The three activated convolutions after a readout."""
    places = {"hidden": "1.fn.fn.0.fn", "residual": "1.fn.fn.1.fn", "output": "2.fn"}
    entries = {}
    for name, place in places.items():
        path = f"{name}_{index}"
        entries |= _affine(f"{key}.{place}.2", path, f"{width} {width} {size} {size}", conv)
        if normed:
            for of, to in (("weight", "scale"), ("bias", "shift")):
                entries[f"{key}.{place}.0.{of}"] = Entry(f"{path}_norm/{to}", width)
            for of, to in (("running_mean", "mean"), ("running_var", "variance")):
                entries[f"{key}.{place}.0.{of}"] = Entry(f"{path}_norm/{to}", width, collection="batch_stats")
    return entries


def _scalar(array: np.ndarray, _: Sizes) -> np.ndarray:
    return array.reshape(())


def _sudoku(arrays: Arrays) -> dict[str, Entry]:
    entries = {
        "embedding.weight": Entry("embedding", "10 width_0"),
        "gamma": Entry("rate", "1", _scalar),
        "x0": Entry("", "1 width_0 9 9", optional=True),
        **_affine("out.1", "logits", "9 width_0 1 1", conv),
    }
    for i in range(_num_layers(arrays)):
        entries |= _coupling(arrays, f"layers.{i}.0", f"layer_{i}", i, "width_0")
        entries |= _readout(f"layers.{i}.1.0", f"readout_{i}", i, "width_0", "1")
        entries |= _perceptron(f"layers.{i}.1", i, "width_0", "1", normed=False)
    return entries


def _discovery(arrays: Arrays) -> dict[str, Entry]:
    entries = {
        **_affine("patchfy.1", "patch", "width_0 colours patch patch", conv),
        "gamma": Entry("", "1"),
        **_affine("out.3", "embedding_hidden", "hidden width_0", dense),
        **_affine("out.5", "embedding", "width_0 hidden", dense),
    }
    if "pemb_c" in arrays:
        for key, path in (("pemb_c", "stimulus_positions"), ("pemb_x", "state_positions")):
            entries[key] = Entry(path, "width_0 rows columns", lambda array, _: np.moveaxis(array, 0, -1))
    for i in range(_num_layers(arrays)):
        entries |= _coupling(arrays, f"layers.{i}.0", f"layer_{i}", i, "width_0")
        entries |= _readout(f"layers.{i}.1", f"readout_{i}", i, "width_0", "1")
    return entries


def _classification(arrays: Arrays) -> dict[str, Entry]:
    entries = {
        "conv0.weight": Entry("stem_kernel", "width_0 colours 3 3", conv),
        "gamma": Entry("", "1"),
    }
    count = _num_layers(arrays)
    for i in range(count):
        width, key = f"width_{i}", f"layers.{i}"
        if i:
            shape = f"{width} width_{i - 1} 3 3"
            entries |= _affine(f"{key}.0.0", f"halve_{i}", shape, conv)
            # The same convolution once more, under the name of its second use.
            entries |= {
                f"{key}.0.1.weight": Entry("", shape, optional=True),
                f"{key}.0.1.bias": Entry("", width, optional=True),
            }
        entries |= _coupling(arrays, f"{key}.2", f"layer_{i}", i, width)
        entries |= _readout(f"{key}.3.0", f"readout_{i}", i, width, "readout_size")
        entries |= _perceptron(f"{key}.3", i, width, "readout_size", normed=True)
    return entries | _affine("out", "logits", f"num_classes width_{count - 1}", dense)


_ENTRIES = {"sudoku": _sudoku, "discovery": _discovery, "classification": _classification}
_NUM_STEPS = {"sudoku": 16, "discovery": 8, "classification": 3}


def _entries(arrays: Arrays, _: Mapping[str, Any]) -> dict[str, Entry]:
    return _ENTRIES[_head(arrays)](arrays)


def _attributes(sizes: Sizes, arrays: Arrays, overrides: Mapping[str, Any]) -> dict[str, Any]:
    head, count, width = _head(arrays), _num_layers(arrays), sizes["width_0"]
    key = "layers.0.2" if head == "classification" else "layers.0.0"
    convolved = f"{key}.connectivity.weight" in arrays
    inferred = {
        "head": head,
        "channels": width,
        "num_layers": count,
        "coupling": "conv" if convolved else "attention",
        "norm": _norm(arrays, key),
        "rotation": _rotation(arrays, key),
        "readout_components": sizes["read_0"] // width,
        "learn_rate": head == "sudoku",
        "rate": float(arrays["gamma"][0]),
    }
    if convolved:
        inferred["kernel_size"] = tuple(sizes[f"size_{i}"] for i in range(count))
    else:
        inferred |= _positions(sizes, overrides)
    inferred |= {name: sizes[name] for name in ("patch", "num_classes") if name in sizes}
    if head == "classification":
        inferred["readout_kernel_size"] = sizes["readout_size"]
    # As published, unless the call says otherwise.
    usual = {"num_steps": _NUM_STEPS[head], "components": inferred["readout_components"]}
    return inferred | {name: value for name, value in usual.items() if name not in overrides}


def _positions(sizes: Sizes, overrides: Mapping[str, Any]) -> dict[str, Any]:
    if "positions" not in sizes:
        return {"positions": False}
    inferred: dict[str, Any] = {"positions": True, "heads": sizes["width_0"] // (2 * sizes["pairs"])}
    count, side = sizes["positions"], math.isqrt(sizes["positions"])
    given = overrides.get("grid")
    if given is not None and math.prod(given) == count:
        return inferred
    if given is not None or side * side != count:
        raise ValueError(f"grid must be the height and width of {count} positions, got {given}")
    return inferred | {"grid": (side, side)}


def _norm(arrays: Arrays, key: str) -> str:
    if f"{key}.c_norm.weight" in arrays:
        return "group"
    return "scale" if f"{key}.c_norm.scale" in arrays else "none"


def _rotation(arrays: Arrays, key: str) -> str:
    omega = arrays.get(f"{key}.omg.omg_param")
    if omega is None:
        return "none"
    return "shared" if omega.ndim == 1 else "pairs"


AKORN = Kind(_entries, AKOrN, _attributes)


def _iterated(arrays: Arrays, _: Mapping[str, Any]) -> dict[str, Entry]:
    entries = {
        "embedding.weight": Entry("embedding", "10 channels"),
        "pos_embed": Entry("positions", "81 channels", lambda array, _: array.reshape(9, 9, -1)),
        "out.0.weight": Entry("output_scale", "channels"),
        "out.0.bias": Entry("output_shift", "channels"),
        **_affine("out.1", "output", "9 channels", dense),
    }
    for i in range(_num_blocks(arrays)):
        key, path = f"transformer_encoder.{i}", f"block_{i}"
        for norm, to in (("layernorm1", "mix"), ("layernorm2", "mlp")):
            entries[f"{key}.{norm}.weight"] = Entry(f"{path}_{to}_scale", "channels")
            entries[f"{key}.{norm}.bias"] = Entry(f"{path}_{to}_shift", "channels")
        entries |= _affine(f"{key}.attn.W_qkv", f"{path}_qkv", "qkv channels", dense)
        entries |= _affine(f"{key}.attn.W_o", f"{path}_out", "channels channels", dense)
        entries |= _affine(f"{key}.mlp.0", f"{path}_wide", "hidden channels", dense)
        entries |= _affine(f"{key}.mlp.2", f"{path}_narrow", "channels hidden", dense)
    return entries


def _num_blocks(arrays: Arrays) -> int:
    return sum(key.startswith("transformer_encoder.") and key.endswith(".attn.W_o.bias") for key in arrays)


ITRSA = Kind(
    _iterated,
    ItrSA,
    lambda sizes, arrays, _: {
        "head": "sudoku",
        "channels": sizes["channels"],
        "hidden": sizes["hidden"],
        "num_blocks": _num_blocks(arrays),
    },
)
