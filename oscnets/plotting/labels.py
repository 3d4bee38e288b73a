"""Maps of classes, true and predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oscnets.plotting.canvas import check_rank, new_figure, show_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Class 0, the background, is black; twelve more colours that can be told apart beside each other.
CLASS_COLOURS = (
    "#000000", "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#56B4E9", "#D55E00", "#FFFFFF", "#8B5A2B",
    "#7F7F7F", "#9467BD", "#BCBD22",
)  # fmt: skip


def label_image(labels: ArrayLike) -> NDArray[np.float64]:
    """Class indices (..., H, W) from 0 -> (..., H, W, 3) sRGB; 0 is black, and colours repeat after the twelfth class.

    Raises ValueError for a class below 0.
    """
    from matplotlib.colors import to_rgb

    labels = np.asarray(labels).astype(np.int64)
    if labels.size and labels.min() < 0:
        raise ValueError(f"classes must be >= 0, got {labels.min()}")
    palette = np.array([to_rgb(colour) for colour in CLASS_COLOURS])
    others = len(palette) - 1
    return palette[np.where(labels > 0, (labels - 1) % others + 1, 0)]


def label_sheet(
    images: ArrayLike,
    labels: ArrayLike,
    predictions: Mapping[str, ArrayLike],
    *,
    classes: Sequence[str] = (),
    title: str = "",
) -> Figure:
    """One row per image: the image, its true classes, the prediction of each model and its accuracy on the foreground.

    Args:
        images: (N, H, W) or (N, H, W, 1 or 3), in [0, 1]. labels: (N, H, W) class indices, 0 for the background.
        predictions: model name -> (N, H, W) class indices.
        classes: names of classes 1 and on, for the legend. title: headline.
    """
    images, labels = np.asarray(images), check_rank("labels", labels, 3)
    columns = 2 + len(predictions)
    figure = new_figure(1.3 * columns + 0.3, 1.5 * len(labels) + 0.8)
    cells = figure.subplots(len(labels), columns, squeeze=False)
    for row, (image, truth) in enumerate(zip(images, labels, strict=True)):
        head = (lambda text: text) if row == 0 else (lambda text: "")
        show_picture(cells[row, 0], image, head("input"))
        show_picture(cells[row, 1], label_image(truth), head("true"))
        for axes, (name, predicted) in zip(cells[row, 2:], predictions.items(), strict=True):
            predicted = check_rank(name, predicted, 3)[row]
            show_picture(axes, label_image(predicted), head(name))
            if (truth > 0).any():
                axes.set_xlabel(f"{(predicted == truth)[truth > 0].mean():.2f}", fontsize=8, labelpad=2)
    if classes:
        _legend(figure, classes)
    figure.suptitle(title)
    return figure


def _legend(figure: Figure, classes: Sequence[str]) -> None:
    from matplotlib.patches import Patch

    colours = label_image(np.arange(1, len(classes) + 1)[None])[0]
    patches = [Patch(facecolor=c, edgecolor="0.5", label=n) for c, n in zip(colours, classes, strict=True)]
    figure.legend(handles=patches, loc="outside lower center", ncols=min(10, len(classes)), frameon=False, fontsize=8)
