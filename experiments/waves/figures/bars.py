"""scores.png: figures 11 and 12 of the paper, the scores of every model with its seeds, beside the published ones."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from experiments import engine
from experiments.waves.figures import published
from oscnets import plotting
from oscnets.plotting.canvas import new_figure
from oscnets.plotting.colours import MODEL_COLOURS

SCORES = {"accuracy": "accuracy", "iou": "IoU", "loss": "cross-entropy (nats)"}
ROWS = {"": "all pixels", "foreground_": "foreground"}
_COLOURS = dict(zip(("nwm", "lstm", "cnn", "unet"), MODEL_COLOURS, strict=False))


def draw(
    figures: Path, config: ConfigDict, models: Mapping[str, engine.Model], split: str, metrics: engine.Metrics
) -> None:
    """scores.png of the models that were measured on a test set: every seed, mean and standard deviation.

    Scores of all pixels above, of the foreground below; there the published mean and standard deviation stand beside,
    in grey, of pictures of the paper's size.
    """
    tested = [label for label in models if split in metrics.get(label, {})]
    if not tested:
        return
    figure = new_figure(3 * (1.6 + 0.36 * len(tested)), 6.4)
    cells = figure.subplots(len(ROWS), len(SCORES), sharex=True)
    for row, (prefix, title) in zip(cells, ROWS.items(), strict=True):
        for axes, (place, (score, name)) in zip(row, enumerate(SCORES.items()), strict=True):
            for x, label in enumerate(tested):
                table = models[label].table
                values = engine.last_values(metrics, label, split, prefix + score)[1][:, -1]
                _draw_seeds(axes, x, values, _COLOURS[table["network"]])
                known = published.foreground(config.data.set, table) if prefix else None
                if known is not None:
                    mean, std = known[place]
                    axes.errorbar(x + 0.3, mean, std, fmt="D", color="0.6", ms=4, capsize=2, label="published")
            axes.set(ylabel=f"{name}, {title}")
            if prefix or score == "loss":
                axes.set_ylim(bottom=0)
            axes.set_xticks(range(len(tested)), tested, rotation=60, ha="right", rotation_mode="anchor")
            axes.grid(color="0.9", lw=0.8, axis="y")
            axes.set_axisbelow(True)
            axes.spines[["top", "right"]].set_visible(False)
    handles, labels = cells[-1, 0].get_legend_handles_labels()
    named = dict(zip(labels, handles, strict=True))
    figure.legend(named.values(), named, loc="outside lower center", ncols=3, frameon=False)
    count = max(len(engine.last_values(metrics, label, split, "accuracy")[0]) for label in tested)
    figure.suptitle(f"{config.data.set}, {config.data.size} pixels: {count} seeds, test set")
    plotting.save(figure, figures / "scores.png")


def _draw_seeds(axes, x: int, values: np.ndarray, colour: str) -> None:
    if not len(values):  # an older run, without this score
        return
    axes.plot(np.full(len(values), x), values, ".", color=colour, ms=7, alpha=0.6, label="one seed")
    spread = values.std(ddof=1) if len(values) > 1 else 0.0
    axes.errorbar(x, values.mean(), spread, fmt="_", color="black", ms=11, mew=1.6, capsize=3, label="mean ± SD")
