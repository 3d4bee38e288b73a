"""Golden files on the device: published numbers, by the library in float32 and in float64."""

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments import engine
from experiments.accelerator.parts import Entries, Entry
from experiments.bench.precision import float64
from oscnets import interop, losses

FOLDER = Path(__file__).parents[2] / "tests" / "golden"
PRECISIONS = ("float32", "float64")
_WAVES = {"wave": "wave_machine", "lstm": "conv_lstm", "cnn8": "cnn", "unet3": "unet"}
FILES = (
    *("komplexnet", "komplexnet_feedback5", "komplexnet_feedback11"),
    *(f"wave_{name}" for name in ("last_c2", "mean_c2", "max_c2", "fft_c2", "linear_c2", "linear_c16")),
    *("lstm_fft_c2", "lstm_linear_c2", "cnn8", "unet3"),
)
Arrays = Mapping[str, np.ndarray]


def entries(smoke: bool) -> Entries:
    """One for each file and precision: `errors` by array, relative to its largest number."""
    for precision in PRECISIONS:
        for name in FILES[: 1 if smoke else None]:
            yield f"{name} {precision}", partial(errors, name, precision)


def errors(name: str, precision: str) -> Entry:
    """The largest error of each array of a file.

    Raises:
        FileNotFoundError: OSCNETS_GOLDEN names no folder of golden files, or the file is neither there nor in the
            repository.
    """
    with np.load(_path(name)) as stored:
        arrays = dict(stored)
    compute: Callable[[str, Arrays], Any] = _waves if name.partition("_")[0] in _WAVES else _komplexnet
    with float64() if precision == "float64" else jax.default_matmul_precision("highest"):
        found = {
            key: (np.asarray(value, np.float64), expected)
            for key, (value, expected) in compute(name, {k: _cast(x, precision) for k, x in arrays.items()}).items()
        }
    for key, (value, expected) in found.items():
        if value.shape != expected.shape:
            raise ValueError(f"{key} has shape {value.shape}, not {expected.shape}")
    return {"errors": {key: float(np.abs(a - b).max() / np.abs(b).max()) for key, (a, b) in found.items()}}


def _path(name: str) -> Path:
    named = os.environ.get("OSCNETS_GOLDEN")
    if named and not any(Path(named).glob("*.npz")):
        raise FileNotFoundError(f"OSCNETS_GOLDEN={named} is no folder of .npz files")
    folders = [Path(folder) for folder in (named, FOLDER) if folder]
    for path in (folder / f"{name}.npz" for folder in folders):
        if path.is_file():
            return path
    raise FileNotFoundError(f"{name}.npz is in none of {', '.join(map(str, folders))}")


def _cast(array: np.ndarray, precision: str) -> np.ndarray:
    return array.astype(precision) if array.dtype == np.float32 else array


def _state(arrays: Arrays, precision: Any) -> dict[str, np.ndarray]:
    return {key.removeprefix("state/"): x.astype(precision) for key, x in arrays.items() if key.startswith("state/")}


def _komplexnet(name: str, arrays: Arrays) -> dict[str, tuple[Any, np.ndarray]]:
    last = {key: np.moveaxis(x, 1, -1) if x.ndim == 4 and "/" not in key else x for key, x in arrays.items()}
    settings: dict[str, Any] = {key: float(arrays[key]) for key in ("rate", "epsilon")}
    if "feedback" in name:
        settings["feedback_rates"] = tuple(map(float, arrays["feedback_rates"]))
    module, variables = interop.from_torch("komplexnet", _state(arrays, np.float32), **settings)
    variables = jax.tree.map(lambda x: x.astype(last["x"].dtype), variables)
    run = jax.jit(lambda variables, x, phases: module.apply(variables, x, phases0=phases, num_steps=15))
    out = run(variables, last["x"], last["phases0"])
    synchrony = losses.cluster_synchrony(out.phases, last["masks"], out.amplitude, silent="zero")
    found = {"logits": out.logits, "phases_last": out.phases, "phases_first": out.trajectory[0]}
    found |= {"amplitude": out.amplitude, "synchrony": synchrony}
    return {key: (value, last[key]) for key, value in found.items()}


def _waves(name: str, arrays: Arrays) -> dict[str, tuple[Any, np.ndarray]]:
    family, *rest = name.split("_")
    settings: dict[str, Any] = {"readout": rest[0]} if rest else {}
    if family == "wave":
        settings["dt"] = float(arrays["dt"])
    module, variables = interop.from_torch(_WAVES[family], _state(arrays, np.float32), **settings)
    variables = jax.tree.map(lambda x: x.astype(arrays["x"].dtype), variables)
    out = jax.jit(module.apply)(variables, np.moveaxis(arrays["x"], 1, -1))
    found = {"logits": (out.logits, np.moveaxis(arrays["logits"], 1, -1))}
    if "states" in arrays:
        states = np.asarray(out.states)[arrays.get("steps", slice(None))]
        found["states"] = states, arrays["states"].transpose(1, 0, 3, 4, 2)
    return found


def table(found: Mapping[str, Entry]) -> str:
    """One line for each file and precision."""
    rows = [[*key.rsplit(" ", 1), _told(entry)] for key, entry in found.items()]
    return engine.markdown.table(("file", "precision", "largest error of each array, over its largest number"), rows)


def _told(entry: Entry) -> str:
    return entry.get("error") or ", ".join(f"{name} {value:.1e}" for name, value in entry["errors"].items())
