"""States of a field of units over time, and features read from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oscnets.plotting.canvas import Animation, check_rank, new_figure, show_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def state_sheet(
    images: ArrayLike,
    states: ArrayLike,
    *,
    steps: Sequence[int] | None = None,
    shown: Sequence[int] | None = None,
    title: str = "",
) -> Figure:
    """One row per image: the image and its states at some steps. Red is above 0, blue below; one scale per row.

    Args:
        images: (N, H, W) or (N, H, W, 1 or 3), in [0, 1]. states: (T, N, H, W).
        steps: (T,) step numbers of the states; 1 to T by default.
        shown: indices of the states to draw; eight of them by default. title: headline.
    """
    images, states = np.asarray(images), check_rank("states", states, 4).astype(np.float32)
    steps = _steps(states, steps)
    if shown is None:
        shown = np.unique(np.rint(np.geomspace(1, len(states), min(8, len(states)))).astype(int) - 1)
    figure = new_figure(1.3 * (1 + len(shown)) + 0.8, 1.4 * len(images) + 0.7)
    cells = figure.subplots(len(images), 1 + len(shown), squeeze=False)
    for row, image in enumerate(images):
        show_picture(cells[row, 0], image, "input" if row == 0 else "")
        limit = _limit(states[:, row])
        for axes, moment in zip(cells[row, 1:], shown, strict=True):
            drawn = _show_signed(axes, states[moment, row], limit)
            axes.set_title(f"step {steps[moment]}" if row == 0 else "", fontsize=9)
        figure.colorbar(drawn, ax=list(cells[row]), shrink=0.9, aspect=12, pad=0.01).ax.tick_params(labelsize=7)
    figure.suptitle(title)
    return figure


def state_animation(
    images: ArrayLike, states: ArrayLike, *, steps: Sequence[int] | None = None, title: str = ""
) -> Animation:
    """One column per image, the image above its states; one frame per step. Arguments as for `state_sheet`."""
    images, states = np.asarray(images), check_rank("states", states, 4).astype(np.float32)
    steps = _steps(states, steps)
    figure = new_figure(1.7 * max(len(images), 2), 3.8)
    cells = figure.subplots(2, len(images), squeeze=False)
    drawn = []
    for column, image in enumerate(images):
        show_picture(cells[0, column], image, "")
        drawn.append(_show_signed(cells[1, column], states[0, column], _limit(states[:, column])))

    def show(frame: int) -> None:
        for picture, state in zip(drawn, states[frame], strict=True):
            picture.set_data(state)
        figure.suptitle(f"{title}{', ' if title else ''}step {steps[frame]} of {steps[-1]}", fontsize=10)

    show(0)
    figure.canvas.draw()
    figure.set_layout_engine("none")  # so that only the states move from frame to frame
    return Animation(figure, show, len(states))


def feature_sheet(features: ArrayLike, *, columns: int = 8, most: int = 32, title: str = "") -> Figure:
    """Features read from the states of one image, one panel per bin, each on a symmetric scale.

    Args:
        features: (H, W, bins). columns: bins per row. most: at most so many bins are drawn, evenly spaced.
        title: headline.
    """
    features = check_rank("features", features, 3).astype(np.float32)
    bins = np.unique(np.rint(np.linspace(0, features.shape[-1] - 1, min(most, features.shape[-1]))).astype(int))
    columns = min(columns, len(bins))
    rows = -(-len(bins) // columns)
    figure = new_figure(1.15 * max(columns, 2) + 0.2, 1.3 * rows + 0.6)
    cells = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, number in zip(cells, bins, strict=False):
        _show_signed(axes, features[..., number], _limit(features[..., number]))
        axes.set_title(f"bin {number}", fontsize=8)
    for axes in cells[len(bins) :]:
        axes.set_axis_off()
    figure.suptitle(title)
    return figure


def _steps(states: NDArray, steps: Sequence[int] | None) -> Sequence[int]:
    steps = range(1, len(states) + 1) if steps is None else steps
    if len(steps) != len(states):
        raise ValueError(f"steps must be {len(states)}, one per state, got {len(steps)}")
    return steps


def _limit(values: NDArray) -> float:
    """Limit of the colour scale: the 99.5th percentile of the magnitudes."""
    return float(np.percentile(np.abs(values), 99.5)) or 1.0


def _show_signed(axes: Axes, picture: NDArray, limit: float):
    axes.set(xticks=[], yticks=[])
    return axes.imshow(picture, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
