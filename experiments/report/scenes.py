"""What the viewer shows of a run: phases or states over time, in a byte a unit, as small as the page asks for."""

import base64
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oscnets.plotting import strongest_channel

Arrays = Mapping[str, NDArray]

MOST_OBJECTS = 8


class Reduction(NamedTuple):
    """What is left out of samples; None leaves nothing out."""

    scenes: int | None  # kept of each test set
    frames: int | None  # kept of the steps, evenly spread
    channels: bool  # all of them, or of phases the strongest and of states the first


REDUCTIONS = (
    Reduction(None, None, True),
    Reduction(None, 50, True),
    Reduction(2, 50, True),
    Reduction(2, 30, False),
    Reduction(1, 20, False),
)


def read(folder: Path) -> dict[str, dict[str, NDArray]]:
    """The samples of a run that can be shown, by model; {} where there are none.

    Scenes of more than `MOST_OBJECTS` are left out: the page has a bit for each.
    """
    found = {}
    for path in sorted((Path(folder) / "samples").glob("*.npz")):
        with np.load(path) as stored:
            arrays = dict(stored)
        few = "masks" not in arrays or _objects(arrays).shape[-1] <= MOST_OBJECTS
        if few and "images" in arrays and ("phases" in arrays or "predictions" in arrays):
            found[path.stem] = arrays
    return found


def pack(arrays: Arrays, reduction: Reduction) -> dict[str, Any]:
    """One model's samples for the page.

    Args:
        arrays: of phases, `images` (N, h, w[, 1 or 3]), `masks` (N, H, W, G), `set` (N,) and `phases` (N, T, H, W[, C])
            in radians, with or without `amplitude` (N, H, W, C), and `targets` (N, classes). Of states, `images`,
            `labels` and `predictions` (N, H, W), with or without `states` (T, N, H, W, C) and their `steps` (T,).
        reduction: what to leave out.

    Returns:
        kind ("phases" or "states"), scenes [{set, label}], steps [T], channels, and packed arrays, see `packed`; of
        phases also bright, whether amplitudes are known.
    """
    chosen = _chosen(arrays, reduction.scenes)
    pick = {name: arrays[name][chosen] for name in ("images", "masks", "labels", "predictions") if name in arrays}
    kept = {"image": packed(_bytes(_with_channels(pick["images"], 3))), "scenes": list(_names(arrays, chosen))}
    of_kind = _phases(arrays, chosen, reduction) if "phases" in arrays else _states(arrays, chosen, reduction)
    if "masks" in pick:
        kept["objects"] = packed(_bits(_objects({**arrays, **pick})))
    for name in ("labels", "predictions"):
        if name in pick:
            kept[name] = packed(pick[name].astype(np.uint8))
    return kept | of_kind


def _objects(arrays):
    """Their masks; those of a model of one phase a place begin with the background's."""
    return arrays["masks"][..., "phases" in arrays and arrays["phases"].ndim == 4 :]


def _phases(arrays, chosen, reduction):
    phases = np.asarray(arrays["phases"][chosen], np.float32)
    # A model of one phase a place keeps the start too: its steps begin at 0.
    first = 0 if phases.ndim == 4 else 1
    phases = _with_channels(phases, 4)
    bright = "amplitude" in arrays
    amplitude = arrays["amplitude"][chosen] if bright else np.ones_like(phases[:, 0])
    if not reduction.channels and phases.shape[-1] > 1:
        phases = strongest_channel(phases, amplitude[:, None])[0][..., None]
        amplitude = amplitude.max(-1, keepdims=True)
    frames = _frames(phases.shape[1], reduction.frames)
    active = amplitude > 0
    codes = np.rint(phases[:, frames] / (2 * np.pi) * 256).astype(np.int64) & 255
    codes = np.where(active[:, None], codes, 0).astype(np.uint8)  # silent units pack to nothing
    return {
        "kind": "phases",
        "steps": (frames + first).tolist(),
        "channels": phases.shape[-1],
        "bright": bright,
        "phase": packed(codes),
        "amplitude": packed(brightness(amplitude)),
    }


def _states(arrays, chosen, reduction):
    shown = {"kind": "states", "steps": [], "channels": 0}
    if "states" not in arrays:
        return shown
    states = np.asarray(arrays["states"][:, chosen], np.float32)
    states = states if reduction.channels else states[..., :1]
    limits = np.percentile(np.abs(states), 99.5, axis=(0, 2, 3))  # a scale each scene and channel
    limits = np.where(limits > 0, limits, 1.0)
    frames = _frames(len(states), reduction.frames)
    scaled = np.clip(states[frames] / limits[None, :, None, None], -1, 1)
    codes = (np.rint(127 * scaled) + 128).astype(np.uint8)
    return shown | {
        "steps": np.asarray(arrays["steps"])[frames].tolist(),
        "channels": states.shape[-1],
        "state": packed(np.moveaxis(codes, 0, 1)),
        "limits": np.round(limits, 4).tolist(),
    }


def brightness(amplitude: NDArray) -> NDArray[np.uint8]:
    """Amplitude (N, H, W, C) -> its square root, 255 from a scene's 95th percentile on; 0 for silent units alone."""
    tops = [np.percentile(scene[scene > 0], 95) if (scene > 0).any() else 1.0 for scene in amplitude]
    scaled = np.sqrt(np.minimum(amplitude / np.reshape(tops, (-1, 1, 1, 1)), 1))
    return np.where(amplitude > 0, np.maximum(np.rint(255 * scaled), 1), 0).astype(np.uint8)


def packed(array: NDArray[np.uint8]) -> dict[str, Any]:
    """Bytes for the page: their shape, and themselves compressed (zlib) and in base64."""
    array = np.ascontiguousarray(array, np.uint8)
    return {"shape": list(array.shape), "data": base64.b64encode(zlib.compress(array.tobytes(), 9)).decode()}


def unpacked(entry: Mapping[str, Any]) -> NDArray[np.uint8]:
    """The inverse of `packed`."""
    return np.frombuffer(zlib.decompress(base64.b64decode(entry["data"])), np.uint8).reshape(entry["shape"])


def _chosen(arrays, scenes):
    sets = arrays.get("set", np.zeros(len(arrays["images"])))
    if scenes is None:
        return np.arange(len(sets))
    return np.concatenate([np.flatnonzero(sets == name)[:scenes] for name in dict.fromkeys(sets.tolist())])


def _frames(length: int, most: int | None) -> NDArray[np.int64]:
    return np.unique(np.rint(np.linspace(0, length - 1, min(length, most or length))).astype(np.int64))


def _names(arrays, chosen) -> Iterator[dict[str, str]]:
    sets = [str(name) for name in arrays["set"]] if "set" in arrays else ["test"] * len(arrays["images"])
    for i in chosen:
        number = sets[: i + 1].count(sets[i])
        label = f"{sets[i]} {number}"
        if "targets" in arrays:
            label += f": digits {' and '.join(str(digit) for digit in np.flatnonzero(arrays['targets'][i]))}"
        yield {"set": sets[i], "label": label}


def _with_channels(array: NDArray, rank: int) -> NDArray:
    """An array whose channel axis comes after `rank` others; one channel is put there where it lacks."""
    return array if array.ndim > rank else array[..., None]


def _bytes(images: NDArray) -> NDArray[np.uint8]:
    return np.rint(255 * np.clip(images, 0, 1)).astype(np.uint8)


def _bits(masks: NDArray) -> NDArray[np.uint8]:
    """Masks (..., G) -> (...), bit g set inside group g."""
    if masks.shape[-1] > MOST_OBJECTS:
        raise ValueError(f"the viewer tells at most {MOST_OBJECTS} groups apart, got {masks.shape[-1]}")
    return (masks.astype(np.uint8) << np.arange(masks.shape[-1], dtype=np.uint8)).sum(-1).astype(np.uint8)
