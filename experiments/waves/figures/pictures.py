"""The pictures of a run: of its samples, and of its waves over training."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy import ndimage

from experiments.waves.figures import wavelengths
from experiments.waves.figures.samples import EDGES
from experiments.waves.task import LONG
from oscnets import analysis, plotting
from oscnets.plotting.canvas import new_figure, show_picture
from oscnets.plotting.colours import MODEL_COLOURS

Arrays = Mapping[str, np.ndarray]
Samples = Mapping[str, Arrays]  # by model


def draw(figures: Path, classes: tuple[str, ...], samples: Samples, courses: wavelengths.Courses) -> None:
    """All pictures; `classes` are the names of classes 1 and on."""
    if samples:
        _draw_masks(figures, samples, classes)
        _draw_fields(figures, samples)
    for label, arrays in samples.items():
        if "states" in arrays:
            _draw_states(figures, label, arrays)
            _draw_spectra(figures, label, arrays, classes)
    for label, kinds in courses.items():
        _draw_course(figures, label, kinds, samples.get(label, {}))


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


def _draw_course(figures: Path, name: str, courses: Mapping[str, wavelengths.Course], arrays: Arrays) -> None:
    """waves_MODEL.png: figure 10, wavelengths before and after, the share above the paper's limit and the loss."""
    figure = new_figure(16.5, 3.6)
    cells = figure.subplots(1, 2 + len(courses))
    for axes, kind in zip(cells, courses, strict=False):
        _draw_histograms(axes, kind, arrays)
    _draw_share(cells[-2], courses["raw"])
    for colour, (kind, course) in zip(MODEL_COLOURS, courses.items(), strict=False):
        _draw_correlations(cells[-1], kind, course, colour)
    for axes, ticks in (*((axes, (1, 2, 4, 8, 16, 32, 64)) for axes in cells[:-2]), (cells[-1], (2, 4, 8, 16))):
        axes.set_xscale("log", base=2)
        axes.set_xticks(ticks, map(str, ticks))
    for axes in (*cells[:-2], cells[-1]):
        axes.legend(frameon=False, fontsize=8)
        axes.grid(color="0.9", lw=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"{name}: wavelengths over training, one point per validation")
    plotting.save(figure, figures / f"waves_{name}.png")


def _draw_histograms(axes, kind, arrays):
    for when, colour in (("before", "0.6"), ("after", MODEL_COLOURS[0])):
        if (key := f"wavelengths_{kind}/{when}") in arrays:
            density = arrays[key] / np.diff(EDGES)
            axes.stairs(density, EDGES, color=colour, lw=1.6, label=f"{when} training, first seed")
    axes.axvline(LONG[-1], color="0.45", ls="--", lw=1.0)
    axes.set(yscale="log", xlabel="wavelength (pixels; the last: all above)", ylabel="share per pixel")
    axes.set_title(f"{kind} differences", fontsize=9)


def _draw_share(axes, course):
    """Share and negative loss over training, means over seeds with each seed behind them."""
    loss = axes.twinx()
    for panel, values, colour, label in (
        (axes, course.shares[..., -1], MODEL_COLOURS[0], f"share above {LONG[-1]:g} px, raw differences"),
        (loss, -course.losses, MODEL_COLOURS[1], "negative loss (nats)"),
    ):
        panel.plot(course.steps, values.T, color=colour, lw=0.7, alpha=0.4)
        panel.plot(course.steps, values.mean(0), color=colour, lw=1.8)
        panel.set_ylabel(label, color=colour)
        panel.spines["top"].set_visible(False)
    axes.set(xlabel="training step", title=f"r = {course.of_means[-1]:.3f} (means over seeds)")
    axes.title.set_fontsize(9)


def _draw_correlations(axes, kind, course, colour):
    axes.plot(LONG, course.by_seed.T, color=colour, lw=0.7, alpha=0.4)
    axes.plot(LONG, course.of_means, "o-", color=colour, ms=4, label=f"{kind}: of the means over seeds")
    axes.set(xlabel="limit (pixels)", ylabel="correlation of share and negative loss", ylim=(-1.05, 1.05))
    axes.axhline(0, color="0.45", lw=0.8)
