"""The paper's tables of a run: scores of the foreground and of all pixels, their range over seeds, and the waves."""

from collections.abc import Callable, Mapping

import jax
import numpy as np
from ml_collections import ConfigDict

from experiments import engine
from experiments.engine import Table, markdown
from experiments.waves import task
from experiments.waves.figures import published, wavelengths
from experiments.waves.figures.wavelengths import Courses

SCORES = ("accuracy", "iou", "loss")
HEAD = ("accuracy", "IoU", "loss")


def tables(
    config: ConfigDict,
    models: Mapping[str, engine.Model],
    split: str,
    metrics: engine.Metrics,
    courses: Courses,
) -> str:
    """Markdown tables of a run's metrics on a test set, beside the published ones."""
    tested = {label: model for label, model in models.items() if split in metrics.get(label, {})}
    parts = [f"# {config.data.set}: {config.data.size} pixels, {config.seeds} seeds, {config.train.epochs} epochs"]
    if tested:
        rows = [
            [
                label,
                f"{num_parameters(model.config, model.table):,}",
                *_row(metrics, label, split, "foreground_", _spread),
                *_published(config.data.set, model.table),
            ]
            for label, model in tested.items()
        ]
        head = ("model", "parameters", *HEAD, *(f"published {name}" for name in HEAD))
        parts += ["## Foreground, mean ± standard deviation over seeds", markdown.table(head, rows)]
        for title, prefix, show in (
            ("## All pixels", "", _spread),
            ("## All pixels, largest / median / smallest over seeds", "", _range),
            ("## Foreground, largest / median / smallest over seeds", "foreground_", _range),
        ):
            rows = [[label, *_row(metrics, label, split, prefix, show)] for label in tested]
            parts += [title, markdown.table(("model", *HEAD), rows)]
    if courses:
        parts += ["## Waves", _waves(courses)]
    return "\n\n".join(parts) + "\n"


def num_parameters(config: ConfigDict, model: Table) -> int:
    """Number of a model's parameters, without running statistics, given its own config and its table."""
    network = task.make_network(config, model)
    shapes = jax.eval_shape(network.init, jax.random.key(0), task.blank(config))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))


def _row(metrics: engine.Metrics, label: str, split: str, prefix: str, show: Callable[[np.ndarray], str]) -> list[str]:
    return [show(engine.last_values(metrics, label, split, prefix + score)[1][:, -1]) for score in SCORES]


def _spread(values: np.ndarray) -> str:
    if not len(values):
        return ""
    return markdown.mean_std(values.mean(), values.std(ddof=1) if len(values) > 1 else None)


def _range(values: np.ndarray) -> str:
    return " / ".join(map(markdown.number, (values.max(), np.median(values), values.min()))) if len(values) else ""


def _published(data_set: str, model: Table) -> list[str]:
    scores = published.foreground(data_set, model)
    return [""] * len(SCORES) if scores is None else [markdown.mean_std(*score, form=".2f") for score in scores]


def _waves(courses: Courses) -> str:
    note = (
        "Share of wavelengths above a limit at the first and the last validation, and its correlation over validations "
        "with the negative loss, both on validation pictures; none where the share moves by less than 1e-5. "
        "Wavelengths come from raw or wrapped differences of phases. In brackets: 95 % interval of the mean over "
        f"seeds. Published, on polygons and above {task.LONG[-1]:g} pixels, of the means: {published.CORRELATION}."
    )
    head = ("model", "differences", "above", "first", "last", "correlation of the means", "of each seed", "mean")
    found = wavelengths.as_json(courses)
    rows = [
        [label, kind, f"{limit:g} px", *_of_limit(kinds[kind], found[label][kind][f"{limit:g}"], i)]
        for label, kinds in courses.items()
        for kind in task.DIFFERENCES
        for i, limit in enumerate(task.LONG)
        if limit in task.REPORTED
    ]
    return f"{note}\n\n{markdown.table(head, rows)}"


def _of_limit(course, found, i):
    ends = [_spread(course.shares[:, at, i]) for at in (0, -1)]
    by_seed = ", ".join(map(_correlation, course.by_seed[:, i]))
    mean = "-" if found["low"] is None else f"{found['mean']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"
    return [*ends, _correlation(course.of_means[i]), by_seed, mean]


def _correlation(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"
