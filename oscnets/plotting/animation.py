"""Animations of phases over the steps of the dynamics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from oscnets.plotting.canvas import Animation, check_rank, new_figure, show_picture
from oscnets.plotting.colours import mask_image, phase_image, strongest_channel
from oscnets.plotting.phases import colour_strip, polar_phases


def phase_animation(
    images: ArrayLike,
    masks: ArrayLike,
    phases: ArrayLike,
    amplitude: ArrayLike,
    *,
    names: Sequence[str] | None = None,
    title: str = "",
) -> Animation:
    """One column per scene, one frame per step: input, objects, phase map, the phases on the circle.

    The phase map shows at each pixel the phase of its strongest channel as hue, and the amplitude of that channel as
    brightness. The headline shows the step.

    Args:
        images: (N, H, W) or (N, H, W, 1 or 3), in [0, 1]. masks: (N, H, W, G).
        phases: (N, T, H, W, C), the state after every step. amplitude: (N, H, W, C) >= 0.
        names: N headings of the columns. title: stands before the step.
    """
    images, masks = np.asarray(images), check_rank("masks", masks, 4).astype(bool)
    phases, amplitude = check_rank("phases", phases, 5), check_rank("amplitude", amplitude, 4)
    number, length = phases.shape[:2]
    names = [f"scene {i + 1}" for i in range(number)] if names is None else names
    if not len(images) == len(masks) == len(amplitude) == len(names) == number:
        counts = f"{len(images)}, {len(masks)}, {number}, {len(amplitude)}, {len(names)}"
        raise ValueError(f"scenes differ in number: {counts}")
    figure = new_figure(1.75 * max(number, 2), 7.4)
    grid = figure.add_gridspec(5, number, height_ratios=[1.0, 1.0, 1.0, 1.25, 0.07])
    maps, circles = [], []
    for scene in range(number):
        show_picture(figure.add_subplot(grid[0, scene]), images[scene], names[scene])
        show_picture(figure.add_subplot(grid[1, scene]), mask_image(masks[scene]), "")
        maps.append(figure.add_subplot(grid[2, scene]))
        show_picture(maps[-1], np.zeros((*phases.shape[2:4], 3)), "")
        circles.append(figure.add_subplot(grid[3, scene], projection="polar"))
    for row, text in enumerate(("input", "objects", "phase map")):
        figure.axes[row].set_ylabel(text, fontsize=9)
    colour_strip(figure.add_subplot(grid[4, :]))

    def show(frame: int) -> None:
        for scene in range(number):
            picture = phase_image(*strongest_channel(phases[scene, frame], amplitude[scene]))
            maps[scene].images[0].set_data(picture)
            circles[scene].clear()
            polar_phases(phases[scene, frame], amplitude[scene], masks[scene], axes=circles[scene])
        circles[0].set_ylabel("phases, one ring per object;\nr: order parameter", fontsize=9, labelpad=18)
        figure.suptitle(f"{title}{', ' if title else ''}step {frame + 1} of {length}")

    show(0)
    figure.canvas.draw()
    figure.set_layout_engine("none")  # so that only the phases move from frame to frame
    return Animation(figure, show, length)
