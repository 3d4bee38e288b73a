"""Phases of every layer, from complex activations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oscnets.plotting.canvas import check_rank, new_figure, show_picture
from oscnets.plotting.colours import GROUP_COLOURS, mask_image, phase_image, strongest_channel
from oscnets.plotting.phases import colour_strip, draw_mean, finish_circle, polar_phases

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NO_GROUP = "0.55"


def polar_layer(
    z: ArrayLike,
    *,
    masks: ArrayLike | None = None,
    classes: ArrayLike | None = None,
    axes: Axes | None = None,
    title: str = "",
) -> Figure:
    """Complex activations of a layer, each at its phase, its magnitude relative to the layer's largest as the radius.

    Args:
        z: complex, (H', W', C) or (K,); units of magnitude 0 are left out.
        masks: (H, W, G) of the input, H and W multiples of H' and W': a unit has the colour of the group at the centre
            of its receptive field (the pixel that a stride keeps), or is grey; the mean of each group, weighted by
            magnitude, |sum z| / sum |z|, is an arrow.
        classes: (K,) nonzero for the true ones: each unit is drawn as its number, the true ones bold.
        axes: polar axes to draw into; a new figure otherwise.
    """
    z = np.asarray(z)
    if axes is None:
        axes = new_figure(3.4, 3.4).add_subplot(projection="polar")
    size = np.abs(z)
    radius = size / (size.max(initial=0) or 1.0)
    if classes is not None:
        _numbers(axes, z, radius, check_rank("classes", classes, 1).astype(bool))
    else:
        groups = _groups(z, masks)
        for group in range(-1, 0 if masks is None else np.shape(masks)[-1]):
            chosen = (groups == group) & (size > 0)
            colour = _NO_GROUP if group < 0 else GROUP_COLOURS[group % len(GROUP_COLOURS)]
            dots = {"s": 4, "alpha": 0.3} if z.size > 200 else {"s": 16, "alpha": 0.8}
            axes.scatter(np.angle(z[chosen]), radius[chosen], color=colour, linewidths=0, **dots)
            if group >= 0 and chosen.any():
                draw_mean(axes, z[chosen].sum() / size[chosen].sum(), colour)
    finish_circle(axes, 1.1, title)
    return axes.get_figure()


def layer_sheet(
    image: ArrayLike,
    masks: ArrayLike,
    models: Mapping[str, Mapping[str, ArrayLike]],
    *,
    classes: ArrayLike | None = None,
    title: str = "",
) -> Figure:
    """One scene in several models, one row per model: the phases of every layer on the circle, and as maps.

    Args:
        image: (H, W) or (H, W, 1 or 3), in [0, 1]. masks: (H, W, G), the objects.
        models: model name -> `phases` and `amplitude` (H, W, C) of the first layer, then its further layers by name,
            complex, first to last: (H', W', C') or (K,). All models have the same layers.
        classes: (K,) nonzero for the classes that are present, the units of the last layer.
    """
    masks = check_rank("masks", masks, 3).astype(bool)
    first = next(iter(models.values()))
    names = [name for name in first if name not in ("phases", "amplitude")]
    columns = 2 + sum(1 + (np.ndim(first[name]) == 3) for name in names)
    figure = new_figure(1.7 * columns, 1.95 * len(models) + 2.5)
    grid = figure.add_gridspec(len(models) + 2, columns, height_ratios=[1.0] * (len(models) + 1) + [0.06])
    show_picture(figure.add_subplot(grid[0, 0]), np.asarray(image), "input")
    show_picture(figure.add_subplot(grid[0, 1]), mask_image(masks), "objects")
    _explain(figure.add_subplot(grid[0, 2:]))
    for row, (model, layers) in enumerate(models.items(), 1):
        head = (lambda text: text) if row == 1 else (lambda text: "")
        cells = iter(range(columns))
        axes = figure.add_subplot(grid[row, next(cells)])
        show_picture(axes, phase_image(*strongest_channel(layers["phases"], layers["amplitude"])), head("layer 1"))
        axes.set_ylabel(model, fontsize=10)
        circle = figure.add_subplot(grid[row, next(cells)], projection="polar")
        polar_phases(layers["phases"], layers["amplitude"], masks, axes=circle, title=head("layer 1"))
        for name in names:
            z = np.asarray(layers[name])
            if z.ndim == 3:
                picture = phase_image(*strongest_channel(np.angle(z), np.abs(z)))
                show_picture(figure.add_subplot(grid[row, next(cells)]), picture, head(name))
            circle = figure.add_subplot(grid[row, next(cells)], projection="polar")
            where = {"masks": masks} if z.ndim == 3 else {"classes": classes if name == names[-1] else None}
            polar_layer(z, **where, axes=circle, title=head(name))
    colour_strip(figure.add_subplot(grid[-1, : min(3, columns)]))
    figure.suptitle(title)
    return figure


def _explain(axes: Axes) -> None:
    axes.set_axis_off()
    text = (
        "Maps: phase of each pixel's strongest channel. Circles: one dot per unit, at its phase.\n"
        "Layer 1: active units in their object's colour, one ring per object; arrow: their mean, length r.\n"
        "Further layers: radius = magnitude, relative to the layer's largest.\n"
        "A layer with positions has the colour of the object there, grey: none; arrow: mean weighted by magnitude.\n"
        "Last layer: each unit as the number of its class, those in the picture bold."
    )
    axes.text(0.02, 0.5, text, ha="left", va="center", fontsize=9, transform=axes.transAxes)


def _groups(z: NDArray, masks: ArrayLike | None) -> NDArray[np.int64]:
    """Index of the group of each unit of z, -1 without one."""
    if masks is None:
        return np.full(z.shape, -1)
    masks = check_rank("masks", masks, 3).astype(bool)
    (high, wide), shape = check_rank("z", z, 3).shape[:2], masks.shape
    if shape[0] % high or shape[1] % wide:
        raise ValueError(f"masks {shape} must be a multiple of the layer {z.shape} in height and width")
    below = masks[:: shape[0] // high, :: shape[1] // wide]
    groups = np.where(below.any(axis=-1), below.argmax(axis=-1), -1)
    return np.broadcast_to(groups[:, :, None], z.shape)


def _numbers(axes: Axes, z: NDArray, radius: NDArray, classes: NDArray) -> None:
    if z.shape != classes.shape:
        raise ValueError(f"z and classes must have one shape, got {z.shape} and {classes.shape}")
    style = {False: {"color": "0.5", "fontsize": 7}, True: {"color": "black", "fontsize": 11, "weight": "bold"}}
    for number in np.argsort(classes, kind="stable"):  # the true ones on top
        if radius[number] > 0:
            place = np.angle(z[number]), radius[number]
            axes.text(*place, str(number), ha="center", va="center", **style[bool(classes[number])])
