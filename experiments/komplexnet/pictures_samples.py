"""Pictures of single scenes and of learned kernels, from the samples of trained models."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from oscnets import plotting
from oscnets.models.komplexnet import LAYERS

Arrays = Mapping[str, np.ndarray]  # what `pictures.sample` gives

FILMED = {"test": 2, "overlap": 1, "noise": 1, "validation": 4}  # scenes of each set in a film
_KERNELS = {
    "coupling_kernel": "coupling within the first layer",
    "feedback_l2_kernel": "feedback from l2 (sending) to the first layer (receiving)",
    "feedback_l3_kernel": "feedback from l3 to the first layer",
    "feedback_l4_kernel": "feedback from l4 to the first layer",
}
_UNITS = {"feedback_l3_kernel": "unit of l3", "feedback_l4_kernel": "unit of l4: class"}


def draw(figures: Path, samples: Mapping[str, Arrays]) -> None:
    """Phases and kernels of every model, and all models' layers on one scene of each set.

    phases_MODEL_SET.png, channels_MODEL.png, film_MODEL.gif with the dynamics, kernel_MODEL.png and
    kernel_MODEL_feedback_LAYER.png where they are learned, layers_SET.png of models trained on the same scenes.
    """
    for name, arrays in samples.items():
        _draw_phases(figures, name, arrays)
        _draw_film(figures, name, arrays)
        _draw_kernels(figures, name, arrays)
    for scenes, models in by_scenes(samples).items():
        _draw_layers(figures, scenes, {name: samples[name] for name in models})


def by_scenes(models: Iterable[str]) -> dict[str, list[str]]:
    """Models that were trained on the same scenes: "" (the config's own), "@3", "@background" -> their names."""
    found: dict[str, list[str]] = {}
    for name in models:
        _, at, scenes = name.partition("@")
        found.setdefault(at + scenes, []).append(name)
    return found


def _draw_phases(figures: Path, name: str, arrays: Arrays) -> None:
    for split in dict.fromkeys(arrays["set"]):
        chosen = arrays["set"] == split
        shown = {key: arrays[key][chosen] for key in ("images", "masks", "phases", "amplitude")}
        sheet = plotting.scene_sheet(**shown, title=f"{name}: scenes of the set {split}")
        plotting.save(sheet, figures / f"phases_{name}_{split}.png")
    title = f"{name}: phases of every channel, last step"
    channels = plotting.phase_map(arrays["phases"][0, -1], arrays["amplitude"][0], title=title)
    plotting.save(channels, figures / f"channels_{name}.png")


def _draw_film(figures: Path, name: str, arrays: Arrays) -> None:
    if arrays["phases"].shape[1] < 2:
        return
    chosen = [i for split, count in FILMED.items() for i in np.flatnonzero(arrays["set"] == split)[:count]]
    if not chosen:
        return
    shown = {key: arrays[key][chosen] for key in ("images", "masks", "phases", "amplitude")}
    film = plotting.phase_animation(**shown, names=list(arrays["set"][chosen]), title=name)
    plotting.save_animation(film, figures / f"film_{name}.gif")


def _draw_kernels(figures: Path, name: str, arrays: Arrays) -> None:
    for kernel, what in _KERNELS.items():
        if f"after/{kernel}" not in arrays:
            continue
        before, after, title = arrays[f"before/{kernel}"], arrays[f"after/{kernel}"], f"{name}: {what}, first seed"
        if kernel in _UNITS:
            figure = plotting.weight_change(before, after, sending=_UNITS[kernel], title=title)
        else:
            figure = plotting.kernel_change(before, after, title=title)
        part = kernel.removesuffix("_kernel")
        plotting.save(figure, figures / (f"kernel_{name}.png" if part == "coupling" else f"kernel_{name}_{part}.png"))


def _draw_layers(figures: Path, scenes: str, samples: Mapping[str, Arrays]) -> None:
    first = next(iter(samples.values()))
    for split in dict.fromkeys(first["set"]):
        shown = {}
        for name, arrays in samples.items():
            if split not in arrays["set"]:  # of a run continued with other tests
                continue
            scene = np.flatnonzero(arrays["set"] == split)[0]
            layers = {layer: arrays[f"layer_{layer}"][scene] for layer in LAYERS}
            shown[name] = {"phases": arrays["phases"][scene, -1], "amplitude": arrays["amplitude"][scene], **layers}
        scene = np.flatnonzero(first["set"] == split)[0]
        title = f"Phases of every layer after the last step: a scene of the set {split}"
        sheet = plotting.layer_sheet(
            first["images"][scene], first["masks"][scene], shown, classes=first["targets"][scene], title=title
        )
        plotting.save(sheet, figures / f"layers_{split}{scenes}.png")
