"""The scenes of the viewer: phases or states over time, in one byte per unit, reduced until they fit the page."""

import base64
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments import engine
from oscnets.plotting import strongest_channel

Arrays = Mapping[str, NDArray]

MOST_OBJECTS = 8


class Sample(NamedTuple):
    """The arrays of samples/MODEL.npz, and what they are.

    Attributes:
        arrays: images (N, H, W, C) in [0, 1], and with phases: masks (N, H, W, G), phases, perhaps amplitude
            (N, H, W, C), targets and set (N,), the label of each scene's test set; or labels and predictions
            (N, H, W), perhaps states and their steps (T,).
        meaning: axes of "phases" ("nthwc" or "nthw") and of "states" ("tnhwc"), "first_step", the step of the first
            phases, "masks" ("objects" or "background+objects"), "targets" ("multi_hot", "classes" or "labels").
    """

    arrays: Arrays
    meaning: Mapping[str, Any]

    @property
    def objects(self) -> NDArray:
        """Masks of the objects alone, (N, H, W, G)."""
        return self.arrays["masks"][..., int(self.meaning["masks"] == "background+objects") :]


# Runs before samples declared their meaning, by family.
_EARLIER = {
    "komplexnet": {"masks": "objects", "targets": "multi_hot", "phases": "nthwc", "first_step": 1},
    "gaspnet": {"masks": "background+objects", "phases": "nthw", "first_step": 0},
    "waves": {"labels": "nhw", "predictions": "nhw", "targets": "labels", "states": "tnhwc"},
}


class Reduction(NamedTuple):
    """What is left out of samples; None leaves nothing out."""

    scenes: int | None  # kept of each test set
    frames: int | None  # kept of the steps, evenly spaced
    channels: bool  # all of them, or of phases the strongest and of states the first


REDUCTIONS = (
    Reduction(None, None, True),
    Reduction(None, 50, True),
    Reduction(2, 50, True),
    Reduction(2, 30, False),
    Reduction(1, 20, False),
)


def read(folder: Path) -> dict[str, Sample]:
    """The samples of a run that can be shown, by model; {} where there are none.

    Scenes with more than `MOST_OBJECTS` objects are left out: the page has one bit for each.
    """
    samples = {}
    for path in sorted((engine.user_path(folder) / "samples").glob("*.npz")):
        with np.load(path) as stored:
            arrays = dict(stored)
        if "images" in arrays and (meaning := _meaning(arrays, folder)) is not None:
            sample = Sample(arrays, meaning)
            if "masks" not in meaning or sample.objects.shape[-1] <= MOST_OBJECTS:
                samples[path.stem] = sample
    return samples


def _meaning(arrays: Arrays, folder: Path) -> Mapping[str, Any] | None:
    """The declared meaning of samples; of earlier runs that of their family, None where that is unknown."""
    if "meaning" in arrays:
        return json.loads(str(arrays["meaning"]))
    return _EARLIER.get(engine.load_config(folder).get("experiment"))


def pack(sample: Sample, reduction: Reduction) -> dict[str, Any]:
    """One model's samples for the page.

    Returns:
        kind ("phases" or "states"), scenes [{set, label}], steps [T], channels, and packed arrays, see `packed`; of
        phases also bright, whether there are amplitudes.
    """
    arrays, meaning = sample
    chosen = _chosen(arrays, reduction.scenes)
    kept = {"image": packed(_bytes(arrays["images"][chosen])), "scenes": list(_names(sample, chosen))}
    if "masks" in meaning:
        kept["objects"] = packed(_bits(sample.objects[chosen]))
    for name in ("labels", "predictions"):
        if name in meaning:
            kept[name] = packed(arrays[name][chosen].astype(np.uint8))
    of_kind = _phases if "phases" in meaning else _states
    return kept | of_kind(sample, chosen, reduction)


def _phases(sample: Sample, chosen: NDArray, reduction: Reduction) -> dict[str, Any]:
    arrays, meaning = sample
    phases = np.asarray(arrays["phases"][chosen], np.float32)
    if meaning["phases"] == "nthw":
        phases = phases[..., None]
    bright = "amplitude" in arrays
    amplitude = arrays["amplitude"][chosen] if bright else np.ones_like(phases[:, 0])
    if not reduction.channels and phases.shape[-1] > 1:
        phases = strongest_channel(phases, amplitude[:, None])[0][..., None]
        amplitude = amplitude.max(-1, keepdims=True)
    frames = _frames(phases.shape[1], reduction.frames)
    active = amplitude > 0
    codes = np.rint(phases[:, frames] / (2 * np.pi) * 256).astype(np.int64) & 255
    codes = np.where(active[:, None], codes, 0).astype(np.uint8)  # inactive units compress to nothing
    return {
        "kind": "phases",
        "steps": (frames + meaning["first_step"]).tolist(),
        "channels": phases.shape[-1],
        "bright": bright,
        "phase": packed(codes),
        "amplitude": packed(brightness(amplitude)),
    }


def _states(sample: Sample, chosen: NDArray, reduction: Reduction) -> dict[str, Any]:
    arrays = sample.arrays
    shown = {"kind": "states", "steps": [], "channels": 0}
    if "states" not in arrays:
        return shown
    states = np.asarray(arrays["states"][:, chosen], np.float32)
    states = states if reduction.channels else states[..., :1]
    limits = np.percentile(np.abs(states), 99.5, axis=(0, 2, 3))  # one scale per scene and channel
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
    """Amplitude (N, H, W, C) -> its square root, 255 from a scene's 95th percentile on; 0 for inactive units only."""
    tops = [np.percentile(scene[scene > 0], 95) if (scene > 0).any() else 1.0 for scene in amplitude]
    scaled = np.sqrt(np.minimum(amplitude / np.reshape(tops, (-1, 1, 1, 1)), 1))
    return np.where(amplitude > 0, np.maximum(np.rint(255 * scaled), 1), 0).astype(np.uint8)


def packed(array: NDArray[np.uint8]) -> dict[str, Any]:
    """Bytes for the page: their shape and data, compressed by zlib, in base64."""
    array = np.ascontiguousarray(array, np.uint8)
    return {"shape": list(array.shape), "data": base64.b64encode(zlib.compress(array.tobytes(), 9)).decode()}


def unpacked(entry: Mapping[str, Any]) -> NDArray[np.uint8]:
    """The inverse of `packed`."""
    return np.frombuffer(zlib.decompress(base64.b64decode(entry["data"])), np.uint8).reshape(entry["shape"])


def _chosen(arrays: Arrays, scenes: int | None) -> NDArray:
    sets = arrays.get("set", np.zeros(len(arrays["images"])))
    if scenes is None:
        return np.arange(len(sets))
    return np.concatenate([np.flatnonzero(sets == name)[:scenes] for name in dict.fromkeys(sets.tolist())])


def _frames(length: int, most: int | None) -> NDArray[np.int64]:
    return np.unique(np.rint(np.linspace(0, length - 1, min(length, most or length))).astype(np.int64))


def _names(sample: Sample, chosen: NDArray) -> Iterator[dict[str, str]]:
    """Test set and label of the chosen scenes."""
    arrays, meaning = sample
    sets = [str(name) for name in arrays["set"]] if "set" in arrays else ["test"] * len(arrays["images"])
    for i in chosen:
        label = f"{sets[i]} {sets[: i + 1].count(sets[i])}"
        targets = meaning.get("targets")
        if targets == "multi_hot":
            label += f": digits {' and '.join(map(str, np.flatnonzero(arrays['targets'][i])))}"
        elif targets == "classes":
            label += f": classes {' and '.join(map(str, arrays['targets'][i]))}"
        yield {"set": sets[i], "label": label}


def _bytes(images: NDArray) -> NDArray[np.uint8]:
    return np.rint(255 * np.clip(images, 0, 1)).astype(np.uint8)


def _bits(masks: NDArray) -> NDArray[np.uint8]:
    """Masks (..., G) -> (...), bit g set inside group g."""
    if masks.shape[-1] > MOST_OBJECTS:
        raise ValueError(f"the viewer distinguishes at most {MOST_OBJECTS} groups, got {masks.shape[-1]}")
    return (masks.astype(np.uint8) << np.arange(masks.shape[-1], dtype=np.uint8)).sum(-1).astype(np.uint8)
