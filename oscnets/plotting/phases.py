"""Phase maps, and phases on the unit circle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from oscnets.plotting.canvas import check_rank, new_figure, show_picture
from oscnets.plotting.colours import GROUP_COLOURS, mask_image, phase_colours, phase_image, strongest_channel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def phase_map(phases: ArrayLike, amplitude: ArrayLike, *, title: str = "", columns: int = 8) -> Figure:
    """The channels of one layer side by side, hue by phase, brightness by amplitude, with a colour wheel.

    Args:
        phases, amplitude: (H, W, C); units of amplitude 0 are black.
        title: headline. columns: channels per row.
    """
    phases, amplitude = check_rank("phases", phases, 3), check_rank("amplitude", amplitude, 3)
    channels = phases.shape[-1]
    columns = min(columns, channels)
    rows = -(-channels // columns)
    figure = new_figure(1.2 * columns + 1.5, 1.4 * rows + (0.5 if title else 0.2))
    grid = figure.add_gridspec(rows, columns + 1, width_ratios=[1.0] * columns + [0.85])
    pictures = phase_image(phases, amplitude)
    for channel in range(channels):
        axes = figure.add_subplot(grid[channel // columns, channel % columns])
        show_picture(axes, pictures[:, :, channel], f"channel {channel + 1}")
    colour_wheel(figure.add_subplot(grid[:, columns], projection="polar"))
    figure.suptitle(title)
    return figure


def colour_wheel(axes: Axes) -> None:
    """Draw the legend of `phase_map` into polar axes: the hue of every phase, labelled in radians."""
    edges = np.linspace(0, 2 * np.pi, 181)
    middles = (edges[:-1] + edges[1:]) / 2
    axes.bar(middles, 0.45, width=edges[1] * 1.05, bottom=0.55, color=phase_colours(middles))
    axes.set(ylim=(0, 1), yticks=[], xticks=[0, np.pi / 2, np.pi, 3 * np.pi / 2])
    axes.set_xticklabels(["0", "π/2", "π", "-π/2"], fontsize=8)
    axes.tick_params(pad=-1)
    axes.grid(False)
    axes.spines["polar"].set_visible(False)
    axes.text(0, 0, "phase\n(rad)", ha="center", va="center", fontsize=7)


def colour_strip(axes: Axes) -> None:
    """Draw the legend of a phase map into axes: the hues from -π to π on a line."""
    strip = phase_colours(np.linspace(-np.pi, np.pi, 361))[None]
    axes.imshow(strip, extent=(-np.pi, np.pi, 0, 1), aspect="auto")
    axes.set(yticks=[], xticks=np.linspace(-np.pi, np.pi, 5))
    axes.set_xticklabels(["-π", "-π/2", "0", "π/2", "π"], fontsize=8)
    axes.set_xlabel("phase (rad); brightness: amplitude", fontsize=8)


def polar_phases(
    phases: ArrayLike, amplitude: ArrayLike, masks: ArrayLike, *, axes: Axes | None = None, title: str = ""
) -> Figure:
    """Phases of the active units on the unit circle, coloured by object, with the order parameter of each as an arrow.

    The arrow of an object is the mean of e^{i phase} over its active units; its length is the radius when all agree.

    Args:
        phases, amplitude: (H, W, C); units of amplitude 0 are left out.
        masks: (H, W, G), nonzero inside group g. An empty group has no dots and no arrow.
        axes: polar axes to draw into; a new figure otherwise.
    """
    phases, amplitude = check_rank("phases", phases, 3), check_rank("amplitude", amplitude, 3)
    masks = check_rank("masks", masks, 3).astype(bool)
    if masks.shape[:2] != phases.shape[:2]:
        raise ValueError(f"masks {masks.shape} and phases {phases.shape} differ in height or width")
    if axes is None:
        axes = new_figure(3.4, 3.4).add_subplot(projection="polar")
    random = np.random.default_rng(0)  # the radius only spreads dots apart
    for group in range(masks.shape[-1]):
        angles = phases[masks[:, :, group, None] & (amplitude > 0)]
        if angles.size == 0:
            continue
        colour = GROUP_COLOURS[group % len(GROUP_COLOURS)]
        radius = 1.06 + 0.2 * group + random.uniform(0, 0.16, angles.size)
        axes.scatter(angles, radius, s=3, color=colour, alpha=0.25, linewidths=0)
        draw_mean(axes, np.exp(1j * angles).mean(), colour)
    finish_circle(axes, 1.1 + 0.2 * masks.shape[-1], title)
    return axes.get_figure()


def draw_mean(axes: Axes, mean: complex, colour: str) -> None:
    """An order parameter as an arrow from the centre, its length r for the legend."""
    arrow = {"arrowstyle": "-|>", "color": colour, "lw": 2.2, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", xy=(np.angle(mean), np.abs(mean)), xytext=(0, 0), arrowprops=arrow)
    axes.plot([], [], color=colour, lw=2.2, label=f"r = {np.abs(mean):.2f}")


def finish_circle(axes: Axes, radius: float, title: str) -> None:
    """Angles, the unit circle and the legend of polar axes."""
    axes.set(ylim=(0, radius), yticks=[1.0], yticklabels=[], xticks=np.arange(4) * np.pi / 2)
    axes.set_xticklabels(["0", "π/2", "π", ""], fontsize=8)
    axes.tick_params(pad=-3)
    axes.spines["polar"].set_visible(False)
    axes.set_title(title, fontsize=9)
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        if len(labels) > 2:  # no wider than two
            labels = labels[:1] + [label.removeprefix("r = ") for label in labels[1:]]
        place = {"loc": "upper center", "bbox_to_anchor": (0.5, 0.02), "ncols": 3, "borderpad": 0.0}
        place |= {"handlelength": 0.8, "handletextpad": 0.4, "columnspacing": 0.9}
        axes.legend(handles, labels, fontsize=8, frameon=False, **place)


def scene_sheet(
    images: ArrayLike,
    masks: ArrayLike,
    phases: ArrayLike,
    amplitude: ArrayLike,
    *,
    steps: Sequence[int] | None = None,
    title: str = "",
) -> Figure:
    """One row per scene: input, objects, phase map at some steps, phases on the circle at the first and last of these.

    The phase map shows at each pixel the phase of its strongest channel.

    Args:
        images: (N, H, W) or (N, H, W, 1 or 3), in [0, 1]. masks: (N, H, W, G).
        phases: (N, T, H, W, C), the state after every step. amplitude: (N, H, W, C) >= 0.
        steps: steps to show, 1 to T; the first, the middle and the last by default.
    """
    images, masks = np.asarray(images), check_rank("masks", masks, 4).astype(bool)
    phases, amplitude = check_rank("phases", phases, 5), check_rank("amplitude", amplitude, 4)
    number, length = phases.shape[:2]
    if not len(images) == len(masks) == len(amplitude) == number:
        raise ValueError(f"scenes differ in number: {len(images)}, {len(masks)}, {number}, {len(amplitude)}")
    steps = sorted({1, length // 2, length} - {0}) if steps is None else list(steps)
    if not steps or min(steps) < 1 or max(steps) > length:
        raise ValueError(f"steps must lie in 1 to {length}, got {steps}")
    shown = [steps[0], steps[-1]]
    figure = new_figure(1.45 * (2 + len(steps)) + 2 * 1.9, 1.75 * number + 0.9)
    grid = figure.add_gridspec(number + 1, len(steps) + 4, width_ratios=[1.0] * (2 + len(steps)) + [1.3] * 2,
                               height_ratios=[1.0] * number + [0.06])  # fmt: skip
    for row in range(number):
        head = (lambda text: text) if row == 0 else (lambda text: "")
        cells = iter(range(len(steps) + 4))
        show_picture(figure.add_subplot(grid[row, next(cells)]), images[row], head("input"))
        show_picture(figure.add_subplot(grid[row, next(cells)]), mask_image(masks[row]), head("objects"))
        for step in steps:
            picture = phase_image(*strongest_channel(phases[row, step - 1], amplitude[row]))
            show_picture(figure.add_subplot(grid[row, next(cells)]), picture, head(f"phase, step {step}"))
        for step in shown:
            axes = figure.add_subplot(grid[row, next(cells)], projection="polar")
            heading = head(f"circle, step {step}")
            polar_phases(phases[row, step - 1], amplitude[row], masks[row], axes=axes, title=heading)
    colour_strip(figure.add_subplot(grid[number, 2 : 2 + len(steps)]))
    note = figure.add_subplot(grid[number, 2 + len(steps) :])
    note.set_axis_off()
    text = "dots: active units, in the object's colour\narrow: their mean, length r"
    note.text(0.5, -0.5, text, ha="center", va="top", fontsize=8)
    figure.suptitle(title)
    return figure
