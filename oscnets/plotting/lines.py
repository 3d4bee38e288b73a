"""Curves over steps, frames or numbers of objects: a mean over seeds and a band."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oscnets import stats
from oscnets.plotting.canvas import check_rank, new_figure
from oscnets.plotting.colours import model_styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def curves(
    values: Mapping[str, ArrayLike],
    *,
    xlabel: str = "step of the dynamics",
    ylabel: str = "",
    title: str = "",
    positions: Mapping[str, ArrayLike] | None = None,
    styles: Mapping[str, Mapping[str, Any]] | None = None,
    chance: float | tuple[ArrayLike, ArrayLike] | None = None,
    marks: Mapping[str, float] | None = None,
    zero: bool = False,
    across: bool = True,
    legend: bool = True,
    axes: Axes | None = None,
) -> Figure:
    """Mean over seeds with a band of one standard deviation; one line per model.

    Args:
        values: model name -> (S, T), seeds by steps, or (S,) or (S, 1) for a model without time. NaN is left out; a
            model with nothing but NaN is not drawn.
        positions: model name -> (T,), the x of the values; 1 to T by default. styles: from `model_styles`, of `values`
            by default.
        chance: level of a dotted line, or (positions, levels) where it depends on x.
        marks: label -> x of a vertical line. zero: whether to draw a thin line at 0, for differences.
        across: whether a model without time is a dashed line across, instead of a point.
    """
    axes = new_figure(5.0, 3.6).add_subplot() if axes is None else axes
    styles = model_styles(list(values)) if styles is None else styles
    for name, array in values.items():
        array = np.asarray(array, dtype=np.float64)
        array = array[:, None] if array.ndim == 1 else check_rank(name, array, 2)
        if np.isnan(array).all():
            continue
        where = np.arange(1, array.shape[1] + 1) if positions is None else np.asarray(positions[name])
        _curve(axes, where, array, {"label": name, **styles[name]}, across)
    _guides(axes, chance, marks or {}, zero)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.set_title(title, fontsize=11)
    axes.grid(color="0.9", lw=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if legend and axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=9, frameon=False)
    return axes.get_figure()


def curve_row(panels: Sequence[Mapping[str, Any]], *, models: Sequence[str], title: str = "") -> Figure:
    """`curve_grid` of one row."""
    return curve_grid([panels], models=models, title=title)


def curve_grid(rows: Sequence[Sequence[Mapping[str, Any] | None]], *, models: Sequence[str], title: str = "") -> Figure:
    """`curves` in rows and columns under one legend.

    Args:
        rows: of panels, each the arguments of `curves`, or None for an empty place; all rows of one length.
        models: names in the order of styles and legend. title: headline.
    """
    from matplotlib.ticker import MaxNLocator

    if len({len(row) for row in rows}) != 1:
        raise ValueError(f"rows must be of one length, got {[len(row) for row in rows]}")
    figure = new_figure(min(4.4 * len(rows[0]) + 0.6, 13.0), 3.1 * len(rows) + 0.9)
    styles = model_styles(models)
    entries: dict[str, Any] = {}
    places = figure.subplots(len(rows), len(rows[0]), squeeze=False)
    for place, panel in zip(places.flat, itertools.chain.from_iterable(rows), strict=True):
        if panel is None:
            place.set_axis_off()
            continue
        curves(**{"styles": styles, "legend": False, **panel}, axes=place)
        place.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10], integer=True))
        handles, labels = place.get_legend_handles_labels()
        entries = entries | dict(zip(labels, handles, strict=True))
    order = [name for name in models if name in entries] + [name for name in entries if name not in models]
    if order:
        columns = min(6, max(1, int(figure.get_figwidth() / (0.6 + 0.07 * max(map(len, order))))))
        figure.legend([entries[n] for n in order], order, loc="outside lower center", ncols=columns, frameon=False)
    figure.suptitle(title)
    return figure


def _guides(axes: Axes, chance: float | tuple | None, marks: Mapping[str, float], zero: bool) -> None:
    style = {"color": "0.45", "lw": 1.2, "zorder": 1}
    if isinstance(chance, tuple):
        axes.plot(*chance, ls=":", label="chance", **style)
    elif chance is not None:
        axes.axhline(chance, ls=":", label="chance", **style)
    for name, position in marks.items():
        axes.axvline(position, ls="--", label=name, **style)
    if zero:
        axes.axhline(0, **style | {"lw": 0.8})


def _curve(axes: Axes, where: NDArray, array: NDArray, style: dict[str, Any], across: bool) -> None:
    summary = stats.summarize(array, axis=0)
    spread = np.nan_to_num(summary.std)
    low, high = summary.mean - spread, summary.mean + spread
    if array.shape[1] == 1 and across:
        axes.axhline(summary.mean[0], lw=1.6, **{**style, "linestyle": "--"})
        axes.axhspan(low[0], high[0], color=style["color"], alpha=0.10, lw=0)
        return
    marker = "o" if array.shape[1] < 3 else None
    axes.plot(where, summary.mean, **{"lw": 2, "marker": marker, "ms": 4, **style})
    axes.fill_between(where, low, high, color=style["color"], alpha=0.18, lw=0)
