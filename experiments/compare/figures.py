"""What a run saves of each network, the picture of the groups that all of them make, and the table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from ml_collections import ConfigDict

from experiments import engine, groups
from experiments.compare import speed
from experiments.compare.task import group
from experiments.engine import Table, markdown
from oscnets import plotting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Arrays = Mapping[str, np.ndarray]

SYNCHRONY = {"order": "order in an object", "separation": "angle between objects"}


def sample(trained: engine.Trained, splits: Mapping[str, Any], tests: Mapping[str, Table]) -> dict[str, np.ndarray]:
    """Scenes of the grouped test sets, with the groups that the first seed's features make.

    Args:
        trained: the model.
        splits: its data.
        tests: by label, the tables of the test sets to take `sampled` scenes from.

    Returns:
        {} where nothing is sampled; else images (N, H, W, C), objects and groups (N, H, W), each group by the number of
        the object that it overlaps most, and `set` (N,), the label of each scene's test set.
    """
    params = jax.tree.map(lambda x: x[0], trained.params)
    parts = []
    for label, test in tests.items():
        if not test["sampled"]:
            continue
        scenes = {key: array[: test["sampled"]] for key, array in splits[label].items()}
        keys = jax.random.split(jax.random.key(trained.model.config.seed), test["sampled"])
        features = jax.jit(trained.task.evaluate_on(label))(params, scenes, keys)["features"]
        found = group(np.nan_to_num(features, posinf=0, neginf=0), scenes["objects"])
        pairs = zip(scenes["objects"], found, strict=True)
        parts.append({
            "images": scenes["images"],
            "objects": scenes["objects"],
            "groups": np.stack([groups.matched(*pair) for pair in pairs]).astype(np.int8),
            "set": np.repeat([label], test["sampled"]),
        })  # fmt: skip
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]} if parts else {}


def draw(config: ConfigDict, models: Mapping[str, engine.Model], tests: Mapping[str, Table], workdir: Path) -> None:
    """groups.png and tables.md from what a workdir holds, and speed.json where the times are not taken yet.

    Args:
        config: of the run.
        models: by label.
        tests: tables of the test sets, by label.
        workdir: of the run.
    """
    metrics = engine.load_metrics(workdir)
    models = {label: model for label, model in models.items() if label in metrics}
    samples = engine.load_samples(workdir, models)
    if samples:
        plotting.save(groups_sheet(samples), workdir / "figures" / "groups.png")
    text = table(models, tests, metrics, speeds(config, models, workdir))
    engine.write_atomically(workdir / "tables.md", text.encode())
    print(text)


def groups_sheet(samples: Mapping[str, Arrays]) -> Figure:
    """One row per scene: the image, its objects, and the groups of every model."""
    first = next(iter(samples.values()))
    objects = first["objects"].astype(int)
    shown = np.where(objects < 0, objects.max() + 2, objects)  # the colour of no object
    title = "Groups of the objects' pixels, first seed\n(share in the group of their object)"
    return plotting.label_sheet(
        first["images"], shown, {label: arrays["groups"] for label, arrays in samples.items()}, title=title
    )


def speeds(config: ConfigDict, models: Mapping[str, engine.Model], workdir: Path) -> dict[str, float]:
    """Milliseconds per image by label, the least of all rounds; taken now where speed.json lacks a model."""
    path, labels = workdir / "speed.json", set(models)
    stored = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if not labels <= set(stored):
        stored = speed.measure(config, models)
        engine.write_atomically(path, (json.dumps(stored, indent=1) + "\n").encode())
    return {label: min(stored[label]) for label in labels}


def table(
    models: Mapping[str, engine.Model],
    tests: Mapping[str, Table],
    metrics: engine.Metrics,
    milliseconds: Mapping[str, float],
) -> str:
    """The table of a run in Markdown, one row per model: mean ± standard deviation over seeds, at the last step."""
    grouped = groups.grouped(tests)
    plain = [label for label in tests if label not in grouped]
    measures = {
        **{f"objects found: {label}": (label, "accuracy") for label in plain},
        **{f"FG-ARI: {label}": (label, "fg_ari") for label in grouped},
        **{text: (plain[0], name) for name, text in SYNCHRONY.items() if plain},
        **({"pixels named": (plain[0], "foreground_accuracy")} if plain else {}),
    }
    rows = [
        [
            label,
            f"{num_parameters(model):,}",
            f"{milliseconds[label]:.2f}",
            *(_spread(metrics, label, *of) for of in measures.values()),
        ]
        for label, model in models.items()
    ]
    first = next(iter(models))
    alone = [_spread(metrics, first, split, f"pixels_{name}") for split, name in measures.values()]
    rows.append(["the image alone", "0", "", *alone])
    return markdown.table(["model", "parameters", "ms per image", *measures], rows) + "\n"


def num_parameters(model: engine.Model) -> int:
    """Number of a model's parameters, without running statistics."""
    shapes = jax.eval_shape(model.task().init, jax.random.key(0))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))


def _spread(metrics: engine.Metrics, label: str, split: str, name: str) -> str:
    values = engine.last_values(metrics, label, split, name)[1][:, -1]
    return markdown.mean_std(values.mean(), values.std(ddof=1) if len(values) > 1 else None) if len(values) else ""
