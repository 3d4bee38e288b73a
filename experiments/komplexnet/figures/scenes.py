"""Pictures of single scenes and of learned kernels, from the samples of trained models."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from experiments.komplexnet.figures.groups import Group
from oscnets import plotting
from oscnets.models.komplexnet import LAYERS

Arrays = Mapping[str, np.ndarray]  # from `samples.sample`

ANIMATED = 2  # scenes of the first test set in an animation, and one of each other
_KERNELS = {
    "coupling_kernel": "coupling within the first layer",
    "feedback_l2_kernel": "feedback from l2 (sending) to the first layer (receiving)",
    "feedback_l3_kernel": "feedback from l3 to the first layer",
    "feedback_l4_kernel": "feedback from l4 to the first layer",
}
_UNITS = {"feedback_l3_kernel": "unit of l3", "feedback_l4_kernel": "unit of l4: class"}


def draw(figures: Path, groups: Sequence[Group], samples: Mapping[str, Arrays]) -> None:
    """Phases and kernels of every model, and all models' layers on one scene of each test set.

    phases_MODEL_SET.png, channels_MODEL.png, animation_MODEL.gif with the dynamics, kernel_MODEL.png and
    kernel_MODEL_feedback_LAYER.png where they are learned, layers_SET.png of models trained on the same scenes.
    """
    for name, arrays in samples.items():
        _draw_phases(figures, name, arrays)
        _draw_animation(figures, name, arrays)
        _draw_kernels(figures, name, arrays)
    for group in groups:
        if sampled := {label: samples[label] for label in group.names if label in samples}:
            _draw_layers(figures, group.suffix, sampled)


def _draw_phases(figures: Path, name: str, arrays: Arrays) -> None:
    for split in dict.fromkeys(arrays["set"]):
        chosen = arrays["set"] == split
        shown = {key: arrays[key][chosen] for key in ("images", "masks", "phases", "amplitude")}
        sheet = plotting.scene_sheet(**shown, title=f"{name}: scenes of the set {split}")
        plotting.save(sheet, figures / f"phases_{name}_{split}.png")
    title = f"{name}: phases of every channel, last step"
    channels = plotting.phase_map(arrays["phases"][0, -1], arrays["amplitude"][0], title=title)
    plotting.save(channels, figures / f"channels_{name}.png")


def _draw_animation(figures: Path, name: str, arrays: Arrays) -> None:
    if arrays["phases"].shape[1] < 2:
        return
    sets = list(dict.fromkeys(arrays["set"]))
    counts = {split: ANIMATED if len(sets) > 1 else len(arrays["set"]) for split in sets[:1]} | dict.fromkeys(
        sets[1:], 1
    )
    chosen = [i for split, count in counts.items() for i in np.flatnonzero(arrays["set"] == split)[:count]]
    shown = {key: arrays[key][chosen] for key in ("images", "masks", "phases", "amplitude")}
    animation = plotting.phase_animation(**shown, names=list(arrays["set"][chosen]), title=name)
    plotting.save_animation(animation, figures / f"animation_{name}.gif")


def _draw_kernels(figures: Path, name: str, arrays: Arrays) -> None:
    for kernel, between in _KERNELS.items():
        if f"after/{kernel}" not in arrays:
            continue
        before, after = arrays[f"before/{kernel}"], arrays[f"after/{kernel}"]
        title = f"{name}: {between}, first seed"
        if kernel in _UNITS:
            figure = plotting.weight_change(before, after, sending=_UNITS[kernel], title=title)
        else:
            figure = plotting.kernel_change(before, after, title=title)
        part = kernel.removesuffix("_kernel")
        plotting.save(figure, figures / (f"kernel_{name}.png" if part == "coupling" else f"kernel_{name}_{part}.png"))


def _draw_layers(figures: Path, suffix: str, samples: Mapping[str, Arrays]) -> None:
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
        plotting.save(sheet, figures / f"layers_{split}{suffix}.png")
