"""The paper's tables of a run: scores of the foreground and of all pixels, their range over seeds, and the waves."""

from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict

from experiments.engine.record.results import Metrics, in_order, last_values, load_config, load_metrics
from experiments.engine.run import config as engine_config
from experiments.engine.run.workdir import write_atomically
from experiments.waves import published, tasks, wavelengths

SCORES = ("accuracy", "iou", "loss")
HEAD = ("accuracy", "IoU", "loss")


def write(workdir: Path) -> str:
    """Write tables.md from what the workdir holds; the same text."""
    stored, metrics = load_config(workdir), load_metrics(workdir)
    config = engine_config.from_json(stored["config"])
    text = markdown(config, metrics, wavelengths.courses(workdir))
    write_atomically(workdir / "tables.md", text.encode())
    return text


def markdown(config: ConfigDict, metrics: Metrics, courses: dict[str, wavelengths.Course]) -> str:
    """The tables of a run's metrics, beside the published ones of the set."""
    tested = [name for name in in_order(metrics, config.models) if name in metrics and "test" in metrics[name]]
    parts = [f"# {config.data.set}: {config.data.size} pixels, {config.seeds} seeds, {config.train.epochs} epochs"]
    if tested:
        known = published.FOREGROUND.get(config.data.set, {})
        head = ("model", "parameters", *HEAD, *(f"published {name}" for name in HEAD))
        sizes = [f"{num_parameters(config, name):,}" for name in tested]
        ours = [_row(metrics, name, "foreground_", _spread) for name in tested]
        theirs = [_known(known, name) for name in tested]
        rows = [[name, size, *a, *b] for name, size, a, b in zip(tested, sizes, ours, theirs, strict=True)]
        parts += ["## Foreground, mean ± standard deviation over seeds", _table(head, rows)]
        rows = [[name, *_row(metrics, name, "", _spread)] for name in tested]
        parts += ["## All pixels", _table(("model", *HEAD), rows)]
        rows = [[name, *_row(metrics, name, "foreground_", _range)] for name in tested]
        parts += ["## Foreground, largest / median / smallest over seeds", _table(("model", *HEAD), rows)]
    if courses:
        parts += ["## Waves", _waves(courses)]
    return "\n\n".join(parts) + "\n"


def num_parameters(config: ConfigDict, name: str) -> int:
    """Of a model; running statistics do not count."""
    network = tasks.make_network(config, name)
    shapes = jax.eval_shape(network.init, jax.random.key(0), tasks.blank(config))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))


def _row(metrics: Metrics, name: str, prefix: str, show: Callable[[np.ndarray], str]) -> list[str]:
    return [show(last_values(metrics, name, "test", prefix + score)[1][:, -1]) for score in SCORES]


def _spread(values: np.ndarray) -> str:
    if len(values) < 2:
        return f"{values.mean():.3f}" if len(values) else ""
    return f"{values.mean():.3f} ± {values.std(ddof=1):.3f}"


def _range(values: np.ndarray) -> str:
    return f"{values.max():.3f} / {np.median(values):.3f} / {values.min():.3f}" if len(values) else ""


def _known(known: dict, name: str) -> list[str]:
    return [f"{mean:.2f} ± {std:.2f}" for mean, std in known[name]] if name in known else [""] * len(SCORES)


def _waves(courses: dict[str, wavelengths.Course]) -> str:
    note = (
        "Share of wavelengths above a limit after the first and the last epoch, and its correlation over epochs with "
        "the negative loss, both on validation pictures; none where the share moves by less than 1e-5. Published, on "
        f"polygons and above {tasks.LONG[-1]:g} pixels: {published.CORRELATION}."
    )
    head = ("model", "above", "first epoch", "last epoch", "correlation of the means over seeds", "of each seed")
    rows = [
        [
            name,
            f"{limit:g} px",
            *(_spread(course.shares[:, epoch, i]) for epoch in (0, -1)),
            f"{course.of_means[i]:.3f}",
            ", ".join(f"{value:.3f}" for value in course.by_seed[:, i]),
        ]
        for name, course in courses.items()
        for i, limit in enumerate(tasks.LONG)
        if limit in tasks.REPORTED
    ]
    return f"{note}\n\n{_table(head, rows)}".replace("nan", "-")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *rows))
