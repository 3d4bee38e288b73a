"""The pictures of a run: of its samples, and of its waves over training."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy import ndimage

from experiments.waves.figures import wavelengths
from experiments.waves.figures.samples import EDGES
from experiments.waves.task import LONG, REPORTED
from oscnets import analysis, plotting
from oscnets.plotting.canvas import new_figure, show_picture
from oscnets.plotting.colours import MODEL_COLOURS

Arrays = Mapping[str, np.ndarray]
Samples = Mapping[str, Arrays]  # by model


def draw(figures: Path, classes: tuple[str, ...], samples: Samples, courses: Mapping[str, wavelengths.Course]) -> None:
    """All pictures; `classes` are the names of classes 1 and on."""
    if samples:
        _draw_masks(figures, samples, classes)
        _draw_fields(figures, samples)
    for label, arrays in samples.items():
        if "states" in arrays:
            _draw_states(figures, label, arrays)
            _draw_spectra(figures, label, arrays, classes)
    for label, course in courses.items():
        _draw_course(figures, label, course, samples.get(label, {}))


def _draw_masks(figures: Path, samples: Samples, classes: tuple[str, ...]) -> None:
    """masks.png: test pictures, true classes, and those that every model predicts."""
    first = next(iter(samples.values()))
    predictions = {name: arrays["predictions"] for name, arrays in samples.items()}
    title = "Classes of pixels, first seed (share of foreground named)"
    sheet = plotting.label_sheet(first["images"], first["labels"], predictions, classes=classes, title=title)
    plotting.save(sheet, figures / "masks.png")


def _draw_fields(figures: Path, samples: Samples) -> None:
    """fields.png: what the answer at one pixel depends on, in every model, and how large the object is."""
    first = next(iter(samples.values()))
    figure = new_figure(1.7 * (1 + len(samples)), 2.5)
    cells = figure.subplots(1, 1 + len(samples), squeeze=False)[0]
    here, labels = tuple(first["place"]), first["labels"][0]
    parts, _ = ndimage.label(labels == labels[here])
    show_picture(cells[0], first["images"][0], "input")
    cells[0].set_xlabel(f"object: {np.ptp(np.argwhere(parts == parts[here]), 0).max() + 1} px", fontsize=8)
    cells[0].plot(*here[::-1], "+", color="red")
    for axes, (name, arrays) in zip(cells[1:], samples.items(), strict=True):
        field = arrays["field"] / (arrays["field"].max() or 1.0)
        axes.imshow(np.log10(np.maximum(field, 1e-4)), cmap="magma", vmin=-4, vmax=0, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.set_title(name, fontsize=9)
        axes.set_xlabel(f"{int(analysis.receptive_field_width(field, 0.01))} px above 1 %", fontsize=8)
    figure.suptitle("Receptive field of the answer at + (logarithmic; black: 1e-4 of the peak)", fontsize=10)
    plotting.save(figure, figures / "fields.png")


def _draw_states(figures: Path, name: str, arrays: Arrays) -> None:
    """states_, features_ and kernel_MODEL.png, animation_MODEL.gif, of the first channel."""
    images, states, steps = arrays["images"], arrays["states"][..., 0], arrays["steps"]
    title = f"{name}: states of channel 1"
    plotting.save(plotting.state_sheet(images, states, steps=steps, title=title), figures / f"states_{name}.png")
    animation = plotting.state_animation(images, states, steps=steps, title=title)
    plotting.save_animation(animation, figures / f"animation_{name}.gif", fps=12)
    sheet = plotting.feature_sheet(arrays["features"][..., 0], title=f"{name}: features of channel 1")
    plotting.save(sheet, figures / f"features_{name}.png")
    kernels = (arrays["kernel/before"], arrays["kernel/after"])
    plotting.save(plotting.kernel_change(*kernels, title=f"{name}: recurrent kernel"), figures / f"kernel_{name}.png")


def _draw_spectra(figures: Path, name: str, arrays: Arrays, classes: tuple[str, ...]) -> None:
    """spectra_MODEL.png: mean amplitude spectrum of each class's pixels, one panel per channel."""
    spectra = arrays["spectra"]
    shown = [i for i in range(len(spectra)) if arrays["pixels"][i] > 0]
    labels = {i: "background" if i == 0 else classes[i - 1] for i in shown}
    panels = [
        {
            "values": {labels[i]: spectra[i, 1:, channel][None] for i in shown},
            "positions": {labels[i]: np.arange(1, spectra.shape[1]) for i in shown},
            "xlabel": f"frequency (cycles in {2 * (spectra.shape[1] - 1)} steps)",
            "ylabel": f"amplitude, channel {channel + 1}",
        }
        for channel in range(min(2, spectra.shape[-1]))
    ]
    title = f"{name}: spectra by class"
    plotting.save(
        plotting.curve_row(panels, models=list(labels.values()), title=title), figures / f"spectra_{name}.png"
    )


def _draw_course(figures: Path, name: str, course: wavelengths.Course, arrays: Arrays) -> None:
    """waves_MODEL.png: wavelengths before and after, their shares over training, and how these go with the loss."""
    figure = new_figure(12.5, 3.6)
    before, during, against = figure.subplots(1, 3)
    for when, colour in (("before", "0.6"), ("after", MODEL_COLOURS[0])):
        if f"wavelengths/{when}" in arrays:
            density = arrays[f"wavelengths/{when}"] / np.diff(EDGES)
            before.stairs(density, EDGES, color=colour, lw=1.6, label=f"{when} training, first seed")
    before.set(yscale="log", xlabel="wavelength (pixels; the last: all above)", ylabel="share per pixel")
    shares = {f"above {limit:g} px": course.shares[..., i] for i, limit in enumerate(LONG) if limit in REPORTED}
    places = dict.fromkeys(shares, course.steps)
    plotting.curves(shares, positions=places, xlabel="training step", ylabel="share of wavelengths", axes=during)
    for seed, values in enumerate(course.by_seed):
        against.plot(LONG, values, "o-", color="0.7", ms=3, lw=0.8, label="each seed" if seed == 0 else None)
    against.plot(LONG, course.of_means, "o-", color=MODEL_COLOURS[0], label="of the means over seeds")
    against.set(xlabel="limit (pixels)", ylabel="correlation of share and negative loss", ylim=(-1.05, 1.05))
    against.axhline(0, color="0.45", lw=0.8)
    for axes, ticks in ((before, (2, 4, 8, 16, 32, 64)), (against, (2, 4, 8, 16))):
        axes.set_xscale("log", base=2)
        axes.set_xticks(ticks, map(str, ticks))
        axes.legend(frameon=False, fontsize=8)
        axes.grid(color="0.9", lw=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    before.axvline(LONG[-1], color="0.45", ls="--", lw=1.0)
    figure.suptitle(f"{name}: wavelengths over training, one point per epoch")
    plotting.save(figure, figures / f"waves_{name}.png")
