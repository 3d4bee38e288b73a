"""State dicts of PyTorch, from memory or a file, without what training frameworks put around them."""

import os
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

_NESTED = ("state_dict", "model_state_dict", "model")  # where the files of training frameworks keep the parameters
_WRAPPERS = ("module", "_orig_mod", "model", "net", "network")  # first parts of keys that wrappers and compilers add
_AVERAGED, _LIVE = "ema_model", ("online_model", "initted", "step")  # of moving averages of the weights: the average
_COUNTERS = ("num_batches_tracked", "n_averaged")  # of batch norms and of moving averages: they are no weights


def load(source: Mapping[str, Any] | str | os.PathLike[str]) -> dict[str, Any]:
    """The parameters by published key: arrays or tensors, not converted.

    Args:
        source: a state dict, or a file of one; see `interop.from_torch`.

    Raises:
        ValueError: a file of another kind, or one that cannot be read.
        ModuleNotFoundError: the library that reads such a file is missing; says how to install it.
        OSError: there is no such file.
    """
    return _unwrapped(source if isinstance(source, Mapping) else _read(Path(source).expanduser()))


def _read(path: Path) -> Mapping[str, Any]:
    if (reader := _READERS.get(path.suffix.lower())) is None:
        raise ValueError(f"{path} must end in one of {', '.join(_READERS)}")
    library = _library(path, *reader[0]) if reader[0] else None
    with path.open("rb"):
        pass  # an OSError of a file that is not there or closed to us is clearer than the libraries' errors
    try:
        found = reader[1](library, path)
    except Exception as error:
        raise ValueError(f"{path} cannot be read: {type(error).__name__}: {error}") from error
    if not isinstance(found, Mapping):
        raise ValueError(f"{path} must hold a state dict, got {type(found).__name__}")
    return found


def _library(path: Path, module: str, install: str) -> ModuleType:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        raise ModuleNotFoundError(f"reading {path} needs the package {package}: {install}", name=package) from error


def _arrays(_: None, path: Path) -> Mapping[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as stored:
        return dict(stored)


def _tensors(torch: ModuleType, path: Path) -> Any:
    # Nothing but tensors and plain containers: other pickles may run any code.
    return torch.load(path, map_location="cpu", weights_only=True)


_TORCH = (("torch", "pip install torch, or give the state dict itself"), _tensors)
# Ending -> (module and how to install it, or None), and a function of that module and the path.
_READERS: dict[str, tuple[tuple[str, str] | None, Callable[[Any, Path], Any]]] = {
    ".safetensors": (
        ("safetensors.numpy", "pip install 'oscnets[safetensors]'"),
        lambda library, path: library.load_file(path),
    ),
    ".npz": (None, _arrays),
    **dict.fromkeys((".pt", ".pth", ".ckpt", ".bin"), _TORCH),
}


def _unwrapped(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters by published key, whatever a training framework has put around them."""
    while (name := next((name for name in _NESTED if isinstance(state_dict.get(name), Mapping)), None)) is not None:
        state_dict = state_dict[name]
    kept = {key: value for key, value in state_dict.items() if key.rpartition(".")[2] not in _COUNTERS}
    while kept and len(first := {key.partition(".")[0] for key in kept}) == 1 and first <= {*_WRAPPERS}:
        kept = {key.partition(".")[2]: value for key, value in kept.items()}
    parts = {key.partition(".")[0] for key in kept}
    if _AVERAGED in parts and parts <= {_AVERAGED, *_LIVE}:
        kept = {key.partition(".")[2]: x for key, x in kept.items() if key.startswith(f"{_AVERAGED}.")}
    return kept


def to_numpy(key: str, value: Any) -> np.ndarray:
    """An array, or a tensor that may require gradients or lie on another device, as float32 or float64.

    Raises:
        ValueError: it is no array of real numbers; names the key.
    """
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        try:
            value = value.numpy()
        except TypeError:  # bfloat16, which NumPy does not have
            value = value.float()
    array = np.atleast_1d(np.asarray(value))
    if array.dtype == np.float64:
        return array
    try:
        return array.astype(np.float32, casting="unsafe" if array.dtype.kind in "biufV" else "safe")
    except (TypeError, ValueError) as error:
        raise ValueError(f"{key} must be an array of real numbers, got {type(value).__name__} {array.dtype}") from error
