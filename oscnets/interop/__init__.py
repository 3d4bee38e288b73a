"""Published PyTorch checkpoints as modules and variables; PyTorch itself is not needed.

A kind of network is a `Kind`: a table of the keys of the published state dict, with the shape of each array and its
path among the variables, and a function from the sizes of the arrays to the attributes of the module. Another kind is
another entry of `_KINDS`.
"""

import os
from collections.abc import Callable, Collection, Mapping
from functools import partial
from itertools import pairwise
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.traverse_util import unflatten_dict

from oscnets import _state_dict
from oscnets.interop import _akorn, _rotating
from oscnets.interop._entries import Arrays, Entry, Kind, Sizes, conv, conv_transpose, dense, pointwise
from oscnets.models import CNN, ConvLSTM, KomplexNet, NeuralWaveMachine, UNet
from oscnets.ops import num_bins

__all__ = ["from_torch"]


def __dir__() -> list[str]:
    return __all__


def from_torch(
    kind: str, state_dict: Mapping[str, Any] | str | os.PathLike[str], **overrides: Any
) -> tuple[nn.Module, dict[str, Any]]:
    """Rebuild a published network from its PyTorch state dict.

    Kinds:

    - `komplexnet`: KomplexNet of Muzellec et al. (2025) on square images, with feedback from the layers whose
      `kernel_kuramoto_l2`, `_l3`, `_l4` are present. `epsilon` and `lr_kuramoto`, which are parameters of the published
      module, become `epsilon` and `rate`; `lr_kuramoto_l2`, `_l3`, `_l4` become `feedback_rates`; `epsilon_l2`, `_l3`,
      `_l4` must be 0, since equation 6 has no such term. The layer norm of the output layer (`classif2.norm.*`), which
      the published code creates and never applies, is left out.
    - `wave_machine`, `conv_lstm`: the recurrent segmenters of Jacobs et al. (2025). `readout` comes by keyword, linear
      by default; other readouts do not use `classifier.fc_time.weight`, which may be missing then.
    - `cnn`, `unet`: the feedforward segmenters.
    - `akorn`: the networks of Miyato et al. (2025) for Sudoku, object discovery or classification, which the keys tell
      apart. `num_steps` (16, 8 and 3 by default), `heads` of an attention without learned rotations (8), `components`
      where they are not those of the readout, and `grid` where it is not square come by keyword. Of the file of a
      moving average (`ema_model.`, `online_model.`) the average is taken.
    - `rotating_features`, `complex_autoencoder`: the autoencoders of Löwe et al. (2023) and (2022).
    - `itrsa`: its baseline for Sudoku; `heads` (8) and `num_steps` (32) come by keyword.

    Args:
        kind: of network, see above.
        state_dict: published key -> array or tensor, in PyTorch's layouts, of any real type; not changed. It may be
            nested in the file of a training framework under "state_dict", "model_state_dict" or "model", and all keys
            may begin with the names of wrappers ("module.", "_orig_mod.", "model.", "net.", "network."). Or the path of
            a file of one: .safetensors (with the package safetensors), .npz, or .pt, .pth, .ckpt, .bin (with PyTorch).
        **overrides: attributes of the module that cannot be inferred, for example `num_steps`. One that the arrays
            determine too must agree with them.

    Returns:
        The module, and its variables {"params": ...}, for `unet` with its running "batch_stats"; float32, or float64
        where the arrays are and JAX allows it.

    Raises:
        ValueError: an unknown kind; a file that cannot be read, or of another ending; missing or unexpected keys, all
            of them listed; an array whose shape does not fit the others; an override of an attribute that is inferred
            from the arrays with another value.
        TypeError: an override that is no attribute of the module.
        ModuleNotFoundError: the package that reads such a file is missing.
    """
    if kind not in _KINDS:
        raise ValueError(f"kind must be one of {', '.join(_KINDS)}, got {kind!r}")
    recipe = _KINDS[kind]
    values = {key: value for key, value in _state_dict.load(state_dict).items() if not key.endswith(recipe.unused)}
    entries = recipe.entries(values, overrides) if callable(recipe.entries) else recipe.entries
    _check_keys(kind, values, entries)
    arrays = {key: _state_dict.to_numpy(key, value) for key, value in values.items()}
    sizes = _infer_sizes(arrays, entries)
    inferred = recipe.attributes(sizes, arrays, overrides)
    if clash := sorted(key for key in inferred.keys() & overrides if not _agree(inferred[key], overrides[key])):
        expected = {key: inferred[key] for key in clash}
        raise ValueError(f"{', '.join(clash)} cannot be overridden: the arrays have {expected}")
    module = recipe.module(**(inferred | overrides))
    variables = {
        f"{entry.collection}/{entry.path}": jnp.asarray(entry.convert(arrays[key], sizes))
        for key, entry in entries.items()
        if entry.path and key in arrays
    }
    return module, unflatten_dict(variables, sep="/")


def _agree(inferred: Any, given: Any) -> bool:
    """Equal; floats up to the precision of float32, in which they are stored."""
    if isinstance(inferred, float) or (isinstance(inferred, tuple) and any(isinstance(x, float) for x in inferred)):
        return np.shape(inferred) == np.shape(given) and bool(np.allclose(inferred, given, rtol=1e-6, atol=0))
    return inferred == given


def _check_keys(kind: str, present: Collection[str], entries: Mapping[str, Entry]) -> None:
    needed = {key for key, entry in entries.items() if not entry.optional}
    missing, unexpected = (sorted(keys) for keys in (needed - {*present}, {*present} - entries.keys()))
    faults = [f"{word} {', '.join(keys)}" for word, keys in (("missing", missing), ("unexpected", unexpected)) if keys]
    if faults:
        raise ValueError(f"not a state dict of kind {kind!r}: {'; '.join(faults)}")


def _infer_sizes(arrays: Arrays, entries: Mapping[str, Entry]) -> Sizes:
    """The size of every name in the entries' dims: that of the first array, which all others must have too."""
    sizes: Sizes = {}
    for key, entry in entries.items():
        if key not in arrays:
            continue
        names, shape = entry.dims.split(), arrays[key].shape
        for name, size in zip(names, shape, strict=False):
            sizes.setdefault(name, int(name) if name.isdigit() else size)
        expected = tuple(sizes.get(name, name) for name in names)
        if shape != expected:
            raise ValueError(f"{key} must have shape ({entry.dims.replace(' ', ', ')}) = {expected}, got {shape}")
    return sizes


def _dense_of_image(array: np.ndarray, sizes: Sizes) -> np.ndarray:
    """(outputs, C H W) -> (H W C, outputs), for a square image."""
    channels, features = sizes["channels"], sizes["features"]
    side = round((features / channels) ** 0.5)
    if channels * side * side != features:
        raise ValueError(
            f"inputs of a dense layer must be a square image of {channels} channels, got {features} features"
        )
    return array.reshape(-1, channels, side, side).transpose(2, 3, 1, 0).reshape(features, -1)


def _komplexnet_attributes(sizes: Sizes, arrays: Arrays, _: Mapping[str, Any]) -> dict[str, Any]:
    names = ("channels", "hidden", "num_classes", "kernel_size", "feedback_kernel_size")
    layers = ("l2", "l3", "l4")
    feedback = tuple(name for name in layers if f"kernel_kuramoto_{name}" in arrays)
    inferred = {**{name: sizes[name] for name in names if name in sizes}, "learn_kernel": True, "feedback": feedback}
    scalars = {key: float(array[0]) for key, array in arrays.items() if key.startswith(("epsilon", "lr_kuramoto"))}
    if nonzero := {key: value for key, value in scalars.items() if key.startswith("epsilon_") and value}:
        raise ValueError(f"feedback has no term of strength epsilon: expected 0, got {nonzero}")
    inferred |= {to: scalars[key] for key, to in (("epsilon", "epsilon"), ("lr_kuramoto", "rate")) if key in scalars}
    if feedback and all(f"lr_kuramoto_{name}" in scalars for name in feedback):
        inferred["feedback_rates"] = tuple(scalars.get(f"lr_kuramoto_{name}", 0.0) for name in layers)
    return inferred


# Segmenters


def _chain(key: str, path: str, dims: list[str], convert: Callable) -> dict[str, Entry]:
    """Layers `KEY.0`, `KEY.2`, ... with activations between them: kernels and biases; dims of each weight."""
    entries = {}
    for i, names in enumerate(dims):
        entries[f"{key}.{2 * i}.weight"] = Entry(f"{path}kernel_{i}", names, convert)
        entries[f"{key}.{2 * i}.bias"] = Entry(f"{path}bias_{i}", names.split()[0])
    return entries


def _encoder(key: str, path: str, depth: int) -> dict[str, Entry]:
    dims = ["mid colours 3 3", *["mid mid 3 3"] * (depth - 2), "channels mid 3 3"]
    return _chain(f"classifier.{key}", f"{path}/", dims, conv)


def _count(arrays: Arrays, key: str) -> int:
    """Number of layers of a chain."""
    return sum(name.startswith(f"{key}.") and name.endswith(".weight") for name in arrays)


def _pixel_classifier(arrays: Arrays, key: str, path: str) -> dict[str, Entry]:
    names = ["features", *(f"hidden_{i}" for i in range(_count(arrays, key) - 1)), "num_classes"]
    return _chain(key, path, [f"{after} {before}" for before, after in pairwise(names)], dense)


def _hidden(sizes: Sizes) -> dict[str, Any]:
    count = sum(name.startswith("hidden_") for name in sizes)
    return {"hidden": tuple(sizes[f"hidden_{i}"] for i in range(count)), "num_classes": sizes["num_classes"]}


def _series(arrays: Arrays, overrides: Mapping[str, Any]) -> dict[str, Entry]:
    """The readout over time, and the classifier."""
    entries = _pixel_classifier(arrays, "classifier.fc_readout", "head/classifier/")
    linear = overrides.get("readout", "linear") == "linear"
    if linear or "classifier.fc_time.weight" in arrays:
        entries["classifier.fc_time.weight"] = Entry("head/time_kernel" if linear else "", "bins steps", dense)
    return entries


def _series_attributes(module: type[nn.Module], sizes: Sizes, _: Any, overrides: Mapping[str, Any]) -> dict[str, Any]:
    inferred = _hidden(sizes) | {"channels": sizes["channels"], "mid_channels": sizes["mid"]}
    how = overrides.get("readout", "linear")
    if "steps" in sizes and (how == "linear" or "num_steps" not in overrides):
        inferred["num_steps"] = sizes["steps"]
    length = inferred.get("num_steps", overrides.get("num_steps", module.num_steps))
    if (expected := num_bins(how, length) * sizes["channels"]) != sizes["features"]:
        raise ValueError(
            f"readout {how!r} of {length} steps and {sizes['channels']} channels gives {expected} features, "
            f"but the classifier takes {sizes['features']}"
        )
    return inferred


def _wave_machine(arrays: Arrays, overrides: Mapping[str, Any]) -> dict[str, Entry]:
    return {
        **_encoder("hy_encoder", "position_encoder", 4),
        **_encoder("omega_encoder", "omega_encoder", 3),
        **_encoder("alpha_encoder", "damping_encoder", 3),
        "classifier.cell.Wy.weight": Entry("kernel", "channels channels 3 3", conv),
        **_series(arrays, overrides),
    }


def _conv_lstm(arrays: Arrays, overrides: Mapping[str, Any]) -> dict[str, Entry]:
    cell = "classifier.recurrent_cell"
    return {
        **_encoder("hy_encoder", "output_encoder", 4),
        **_encoder("hz_encoder", "hidden_encoder", 3),
        **_encoder("hc_encoder", "cell_encoder", 3),
        f"{cell}.cell.conv.weight": Entry("kernel_gates", "gates inputs 3 3", conv),
        f"{cell}.cell.conv.bias": Entry("bias_gates", "gates"),
        f"{cell}.transform_hidden.0.weight": Entry("kernel_first", "inputs channels", dense),
        f"{cell}.transform_hidden.0.bias": Entry("bias_first", "inputs"),
        f"{cell}.transform_hidden.2.weight": Entry("kernel_second", "channels inputs", dense),
        f"{cell}.transform_hidden.2.bias": Entry("bias_second", "channels"),
        **_series(arrays, overrides),
    }


def _cnn(arrays: Arrays, _: Mapping[str, Any]) -> dict[str, Entry]:
    depth = max(1, _count(arrays, "encoder") - 1)
    widths = ["colours", *["channels"] * (depth - 1), "out_channels"]
    chain = _chain("encoder", "", [f"{after} {before} 3 3" for before, after in pairwise(widths)], conv)
    return {
        **chain,
        f"encoder.{2 * depth}.weight": Entry("kernel_features", "features out_channels 1 1", pointwise),
        f"encoder.{2 * depth}.bias": Entry("bias_features", "features"),
        **_pixel_classifier(arrays, "readout", "head/"),
    }


def _cnn_attributes(sizes: Sizes, arrays: Arrays, _: Mapping[str, Any]) -> dict[str, Any]:
    out_channels, features = sizes["out_channels"], sizes["features"]
    if features % out_channels:
        raise ValueError(f"features must be a multiple of the {out_channels} channels, got {features}")
    inferred = {"depth": _count(arrays, "encoder") - 1, "out_channels": out_channels, "bins": features // out_channels}
    return _hidden(sizes) | inferred | {name: sizes[name] for name in ("channels",) if name in sizes}


def _double_conv(key: str, path: str, c_in: str, c_out: str) -> dict[str, Entry]:
    entries = {}
    for i, (at, before) in enumerate(((0, c_in), (3, c_out))):
        layer, norm, to = f"{key}.double_conv.{at}", f"{key}.double_conv.{at + 1}", f"{path}/norm_{i}"
        entries |= {
            f"{layer}.weight": Entry(f"{path}/kernel_{i}", f"{c_out} {before} 3 3", conv),
            f"{norm}.weight": Entry(f"{to}/scale", c_out),
            f"{norm}.bias": Entry(f"{to}/shift", c_out),
            f"{norm}.running_mean": Entry(f"{to}/mean", c_out, collection="batch_stats"),
            f"{norm}.running_var": Entry(f"{to}/variance", c_out, collection="batch_stats"),
        }
    return entries


def _unet() -> dict[str, Entry]:
    entries = _double_conv("inc", "down_0", "colours", "width_0")
    for i in range(1, 5):
        fine, coarse = f"width_{i - 1}", f"width_{i}"
        entries |= _double_conv(f"down{i}.maxpool_conv.1", f"down_{i}", fine, coarse)
        up = f"up{5 - i}"
        entries[f"{up}.up.weight"] = Entry(f"kernel_up_{i - 1}", f"{coarse} {fine} 2 2", conv_transpose)
        entries[f"{up}.up.bias"] = Entry(f"bias_up_{i - 1}", fine)
        entries |= _double_conv(f"{up}.conv", f"up_{i - 1}", coarse, fine)
    entries["outc.conv.weight"] = Entry("head/kernel_0", "num_classes width_0 1 1", pointwise)
    return entries | {"outc.conv.bias": Entry("head/bias_0", "num_classes")}


_KINDS = {
    "komplexnet": Kind(
        entries={
            "downsampling.weight": Entry("encoder_kernel", "channels colours 3 3", conv),
            "kernel_kuramoto": Entry("coupling_kernel", "channels channels kernel_size kernel_size", conv),
            "convA.kernel_conv.weight": Entry("head/conv_kernel", "channels channels 3 3", conv),
            "convA.kernel_conv.bias": Entry("head/conv_bias", "channels"),
            "convA.norm.weight": Entry("head/conv_scale", "channels"),
            "convA.norm.bias": Entry("head/conv_shift", "channels"),
            "classif1.1.weights.weight": Entry("head/hidden_kernel", "hidden features", _dense_of_image),
            "classif1.1.weights.bias": Entry("head/hidden_bias", "hidden"),
            "classif1.1.norm.weight": Entry("head/hidden_scale", "hidden"),
            "classif1.1.norm.bias": Entry("head/hidden_shift", "hidden"),
            "classif2.weights.weight": Entry("head/output_kernel", "num_classes hidden", dense),
            "classif2.weights.bias": Entry("head/output_bias", "num_classes"),
            "kernel_kuramoto_l2": Entry(
                "feedback_l2_kernel",
                "channels channels feedback_kernel_size feedback_kernel_size",
                conv_transpose,
                optional=True,
            ),
            "kernel_kuramoto_l3": Entry("feedback_l3_kernel", "channels hidden", dense, optional=True),
            "kernel_kuramoto_l4": Entry("feedback_l4_kernel", "channels num_classes", dense, optional=True),
            # Parameters of the published module that are attributes of this one.
            **{
                f"{name}{layer}": Entry("", "1", optional=True)
                for name in ("epsilon", "lr_kuramoto")
                for layer in ("", "_l2", "_l3", "_l4")
            },
        },
        module=KomplexNet,
        attributes=_komplexnet_attributes,
        unused=("classif2.norm.weight", "classif2.norm.bias"),
    ),
    "wave_machine": Kind(_wave_machine, NeuralWaveMachine, partial(_series_attributes, NeuralWaveMachine)),
    "conv_lstm": Kind(_conv_lstm, ConvLSTM, partial(_series_attributes, ConvLSTM)),
    "cnn": Kind(_cnn, CNN, _cnn_attributes),
    "unet": Kind(
        _unet(),
        UNet,
        lambda sizes, *_: {"width": sizes["width_0"], "num_classes": sizes["num_classes"]},
    ),
    "akorn": _akorn.AKORN,
    "itrsa": _akorn.ITRSA,
    "rotating_features": _rotating.ROTATING,
    "complex_autoencoder": _rotating.COMPLEX,
}
