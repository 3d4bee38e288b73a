"""Learned weights before and after training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oscnets.plotting.canvas import check_rank, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def kernel_change(before: ArrayLike, after: ArrayLike, *, title: str = "") -> Figure:
    """A coupling kernel before and after training, and their difference.

    Above, the mean over channel pairs; below, every pair: rows are receiving, columns sending channels. Red is
    attraction, blue repulsion. Before and after share one symmetric scale per row; the change has another.

    Args:
        before, after: (kh, kw, C_in, C_out), no unit.
    """
    kernels = _compared(check_rank("before", before, 4), check_rank("after", after, 4))
    figure = new_figure(10.4, 6.2)
    grid = figure.add_gridspec(2, 3, height_ratios=[1.0, 1.35])
    for row, view in enumerate((lambda kernel: kernel.mean(axis=(2, 3)), _mosaic)):
        cells = [figure.add_subplot(grid[row, column]) for column in range(3)]
        _signed_pictures(cells, {name: view(kernel) for name, kernel in kernels.items()})
        for axes, name in zip(cells, kernels, strict=True):
            axes.set(xticks=[], yticks=[])
            axes.set_title(f"{name}, mean over pairs" if row == 0 else f"{name}, each pair", fontsize=10)
            if row == 1:
                axes.set_xlabel("sending channel", fontsize=9)
                axes.set_ylabel("receiving channel", fontsize=9)
    figure.suptitle(title)
    return figure


def weight_change(before: ArrayLike, after: ArrayLike, *, sending: str = "sending unit", title: str = "") -> Figure:
    """Feedback weights of a dense layer before and after training, and their difference, one below the other.

    Rows are receiving channels, columns sending units. Red is attraction, blue repulsion. Before and after share one
    symmetric scale; the change has another.

    Args:
        before, after: (units, C), no unit. sending: label of the units.
    """
    weights = _compared(check_rank("before", before, 2), check_rank("after", after, 2))
    units, channels = np.shape(after)
    figure = new_figure(min(4.0 + 0.16 * units, 12.0), 6.2)
    cells = list(figure.subplots(3, 1, sharex=True))
    _signed_pictures(cells, {name: array.T for name, array in weights.items()}, aspect="auto")
    for axes, name in zip(cells, weights, strict=True):
        axes.set(yticks=range(channels), yticklabels=range(1, channels + 1))
        axes.tick_params(labelsize=8)
        axes.set_ylabel("receiving channel", fontsize=9)
        axes.set_title(name, fontsize=10)
    axes.set_xlabel(sending, fontsize=9)
    axes.set_xticks(range(0, units, 1 if units <= 20 else 5))
    figure.suptitle(title)
    return figure


def _compared(before: NDArray, after: NDArray) -> dict[str, NDArray]:
    if before.shape != after.shape:
        raise ValueError(f"before and after must have one shape, got {before.shape} and {after.shape}")
    return {"before training": before, "after training": after, "change": after - before}


def _signed_pictures(cells: Sequence[Axes], pictures: Mapping[str, NDArray], aspect: str = "equal") -> None:
    """Before, after and change, each with a colour bar; the first two on one scale."""
    before, after, change = (np.nanmax(np.abs(picture)) for picture in pictures.values())
    limits = (max(before, after), max(before, after), change)
    for axes, (name, picture), limit in zip(cells, pictures.items(), limits, strict=True):
        scale = {"cmap": "RdBu_r", "vmin": -(limit or 1.0), "vmax": limit or 1.0}
        drawn = axes.imshow(picture, interpolation="nearest", aspect=aspect, **scale)
        bar = axes.get_figure().colorbar(drawn, ax=axes, shrink=0.9, aspect=14, pad=0.02)
        bar.set_label("change" if name == "change" else "weight (> 0 attracts)", fontsize=8)


def _mosaic(kernel: NDArray) -> NDArray[np.float64]:
    """(kh, kw, C_in, C_out) -> one picture of all pairs, C_out down, C_in across, an empty (NaN) line between."""
    high, wide, sending, receiving = kernel.shape
    padded = np.full((receiving, high + 1, sending, wide + 1), np.nan)
    padded[:, :high, :, :wide] = kernel.transpose(3, 0, 2, 1)
    return padded.reshape(receiving * (high + 1), sending * (wide + 1))[:-1, :-1]
