"""Published PyTorch checkpoints as modules and variables; PyTorch itself is not needed.

A kind of network is a `_Kind`: a table that says for every key of the published state dict what shape its array has and
where it goes, and what the sizes found in it make of the module. Another kind is another entry of `_KINDS`.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.traverse_util import unflatten_dict

from oscnets.models import KomplexNet

Sizes = dict[str, int]


def from_torch(kind: str, state_dict: Mapping[str, Any], **overrides: Any) -> tuple[nn.Module, dict[str, Any]]:
    """Rebuild a published network from its PyTorch state dict.

    Kinds:

    - `komplexnet`: KomplexNet of Muzellec et al. (2025) on square images, with feedback from the layers whose
      `kernel_kuramoto_l2`, `_l3`, `_l4` are there. The layer norm of the output layer (`classif2.norm.*`), which the
      published code makes and never applies, is left out.

    Args:
        kind: which network, see above.
        state_dict: published key -> array or tensor, in PyTorch's layouts. It is only read.
        **overrides: attributes of the module that the weights do not tell, for example `rate` and `epsilon`.

    Returns:
        The module, and its variables {"params": ...}; float32, or float64 where the arrays are and JAX allows it.

    Raises:
        ValueError: an unknown kind; missing or unexpected keys; an array whose shape does not fit the others; an
            override of what the arrays tell.
        TypeError: an override that is no attribute of the module.
    """
    if kind not in _KINDS:
        raise ValueError(f"kind must be one of {', '.join(_KINDS)}, got {kind!r}")
    recipe = _KINDS[kind]
    arrays = {key: _to_numpy(value) for key, value in state_dict.items() if key not in recipe.unused}
    _check_keys(kind, arrays, recipe.entries)
    sizes = _infer_sizes(arrays, recipe.entries)
    told = recipe.attributes(sizes, arrays)
    if clash := sorted(told.keys() & overrides):
        raise ValueError(f"{', '.join(clash)} cannot be overridden: the arrays tell { ({k: told[k] for k in clash}) }")
    module = recipe.module(**told, **overrides)
    present = {key: entry for key, entry in recipe.entries.items() if key in arrays}
    params = {entry.path: jnp.asarray(entry.convert(arrays[key], sizes)) for key, entry in present.items()}
    return module, {"params": unflatten_dict(params, sep="/")}


class _Entry(NamedTuple):
    """An array of a state dict.

    Attributes:
        path: where it goes among the parameters.
        dims: names of its axes in PyTorch's order, equal names for equal sizes, digits for fixed ones.
        convert: (array, sizes) -> the parameter.
        optional: whether a network may do without it.
    """

    path: str
    dims: str
    convert: Callable[[np.ndarray, Sizes], np.ndarray] = lambda array, _: array
    optional: bool = False


class _Kind(NamedTuple):
    """A published network: its arrays, its module, the module's attributes by sizes and arrays, keys without use."""

    entries: dict[str, _Entry]
    module: type[nn.Module]
    attributes: Callable[[Sizes, Mapping[str, np.ndarray]], dict[str, Any]]
    unused: tuple[str, ...] = ()


def _to_numpy(value: Any) -> np.ndarray:
    """An array, or a tensor that may require gradients or lie on another device."""
    return value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)


def _check_keys(kind: str, arrays: Mapping[str, np.ndarray], entries: Mapping[str, _Entry]) -> None:
    needed = {key for key, entry in entries.items() if not entry.optional}
    missing, unexpected = (sorted(keys) for keys in (needed - arrays.keys(), arrays.keys() - entries.keys()))
    faults = [f"{word} {', '.join(keys)}" for word, keys in (("missing", missing), ("unexpected", unexpected)) if keys]
    if faults:
        raise ValueError(f"not a state dict of kind {kind!r}: {'; '.join(faults)}")


def _infer_sizes(arrays: Mapping[str, np.ndarray], entries: Mapping[str, _Entry]) -> Sizes:
    """The size of every name in the entries' dims: what its first array has, and all others must have too."""
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


def _conv(array: np.ndarray, _: Sizes) -> np.ndarray:
    """(C_out, C_in, kh, kw) -> (kh, kw, C_in, C_out)."""
    return array.transpose(2, 3, 1, 0)


def _conv_transpose(array: np.ndarray, _: Sizes) -> np.ndarray:
    """(C_in, C_out, kh, kw) -> (kh, kw, C_in, C_out)."""
    return array.transpose(2, 3, 0, 1)


def _dense(array: np.ndarray, _: Sizes) -> np.ndarray:
    """(outputs, inputs) -> (inputs, outputs)."""
    return array.T


def _dense_of_image(array: np.ndarray, sizes: Sizes) -> np.ndarray:
    """(outputs, C H W) -> (H W C, outputs), for a square image."""
    channels, features = sizes["channels"], sizes["features"]
    side = round((features / channels) ** 0.5)
    if channels * side * side != features:
        raise ValueError(f"{features} inputs of a dense layer are no square image of {channels} channels")
    return array.reshape(-1, channels, side, side).transpose(2, 3, 1, 0).reshape(features, -1)


def _komplexnet_attributes(sizes: Sizes, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    names = ("channels", "hidden", "num_classes", "kernel_size", "feedback_kernel_size")
    feedback = tuple(name for name in ("l2", "l3", "l4") if f"kernel_kuramoto_{name}" in arrays)
    return {**{name: sizes[name] for name in names if name in sizes}, "learn_kernel": True, "feedback": feedback}


_KINDS = {
    "komplexnet": _Kind(
        entries={
            "downsampling.weight": _Entry("encoder_kernel", "channels colours 3 3", _conv),
            "kernel_kuramoto": _Entry("coupling_kernel", "channels channels kernel_size kernel_size", _conv),
            "convA.kernel_conv.weight": _Entry("head/conv_kernel", "channels channels 3 3", _conv),
            "convA.kernel_conv.bias": _Entry("head/conv_bias", "channels"),
            "convA.norm.weight": _Entry("head/conv_scale", "channels"),
            "convA.norm.bias": _Entry("head/conv_shift", "channels"),
            "classif1.1.weights.weight": _Entry("head/hidden_kernel", "hidden features", _dense_of_image),
            "classif1.1.weights.bias": _Entry("head/hidden_bias", "hidden"),
            "classif1.1.norm.weight": _Entry("head/hidden_scale", "hidden"),
            "classif1.1.norm.bias": _Entry("head/hidden_shift", "hidden"),
            "classif2.weights.weight": _Entry("head/output_kernel", "num_classes hidden", _dense),
            "classif2.weights.bias": _Entry("head/output_bias", "num_classes"),
            "kernel_kuramoto_l2": _Entry(
                "feedback_l2_kernel",
                "channels channels feedback_kernel_size feedback_kernel_size",
                _conv_transpose,
                optional=True,
            ),
            "kernel_kuramoto_l3": _Entry("feedback_l3_kernel", "channels hidden", _dense, optional=True),
            "kernel_kuramoto_l4": _Entry("feedback_l4_kernel", "channels num_classes", _dense, optional=True),
        },
        module=KomplexNet,
        attributes=_komplexnet_attributes,
        unused=("classif2.norm.weight", "classif2.norm.bias"),
    )
}
