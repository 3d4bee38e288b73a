"""Small tables of scores as coloured cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from oscnets import stats
from oscnets.plotting.canvas import check_rank, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def score_tables(
    values: Mapping[str, ArrayLike],
    *,
    rows: Sequence[object],
    columns: Sequence[object],
    ylabel: str = "",
    xlabel: str = "",
    label: str = "",
    title: str = "",
) -> Figure:
    """One table per model, mean ± standard deviation over seeds in each cell, all on one colour scale.

    Args:
        values: model name -> (S, R, K), seeds by rows by columns; NaN is left out, a cell with nothing else is empty.
        rows, columns: R and K names. ylabel, xlabel: of the axes. label: of the colour scale.
    """
    means, spreads = {}, {}
    for name, array in values.items():
        summary = stats.summarize(check_rank(name, array, 3), axis=0)
        if summary.mean.shape != (len(rows), len(columns)):
            raise ValueError(f"{name} must have {len(rows)} rows and {len(columns)} columns, got {summary.mean.shape}")
        means[name], spreads[name] = summary.mean, summary.std
    every = np.concatenate([mean.ravel() for mean in means.values()])
    low, high = np.nanmin(every), np.nanmax(every)
    figure = new_figure((0.9 * len(columns) + 0.7) * len(means) + 1.2, 0.8 * len(rows) + 1.5)
    cells = figure.subplots(1, len(means), squeeze=False)[0]
    for axes, name in zip(cells, means, strict=True):
        drawn = axes.imshow(means[name], cmap="Blues", aspect="auto", vmin=low, vmax=high if high > low else low + 1e-3)
        axes.set(xticks=range(len(columns)), xticklabels=columns, yticks=range(len(rows)), yticklabels=rows)
        axes.set_xlabel(xlabel, fontsize=9)
        axes.set_title(name, fontsize=10)
        for (row, column), mean in np.ndenumerate(means[name]):
            spread = spreads[name][row, column]
            text = f"{mean:z.3f}" + ("" if np.isnan(spread) else f"\n± {spread:.3f}")
            dark = mean > low + 0.55 * (high - low) and high > low
            if not np.isnan(mean):
                axes.text(column, row, text, ha="center", va="center", fontsize=9, color="white" if dark else "black")
    cells[0].set_ylabel(ylabel, fontsize=9)
    figure.colorbar(drawn, ax=list(cells), shrink=0.9, aspect=14, pad=0.02).set_label(label, fontsize=8)
    figure.suptitle(title)
    return figure
