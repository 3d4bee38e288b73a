"""The arrays that a run saves of each GASPnet, and the pictures."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments import engine
from experiments.engine import Table
from experiments.gaspnet import steps
from experiments.gaspnet.data import TARGETS
from experiments.gaspnet.task import forward, has_phases, make_network
from oscnets import plotting

Arrays = Mapping[str, np.ndarray]

TITLES = {"gaussian": "Gaussian noise", "salt_pepper": "salt and pepper", "item": "size of the item"}  # by kind of test
MASKS = "background+objects"
BEFORE_MEANING = {"masks": MASKS, "phases": "nthw", "first_step": 0}  # of samples that do not declare it
EARLIER = {"masks": MASKS, "phases": "nthw", "first_step": 0}  # meaning of samples that do not declare it


def sample(trained: engine.Trained, data: Mapping[str, Any], tests: Mapping[str, Table]) -> dict[str, np.ndarray]:
    """Scenes of the test sets, with the first seed's phases of the first block.

    Args:
        trained: the model.
        data: its splits.
        tests: by label, the tables of the test sets to take `sampled` scenes from.

    Returns:
        {} without phases; else images, masks and targets, phases (N, T + 1, H, W), the first of them before the first
        step, `set` (N,), the label of each scene's test set, and `meaning`, JSON: what masks and targets are, the axes
        of the phases and their first step.
    """
    config, model = trained.model.config, trained.model.table
    network = make_network(config, model)
    shown = {label: test["sampled"] for label, test in tests.items() if test["sampled"]}
    if not has_phases(network) or not shown:
        return {}
    params = jax.tree.map(lambda x: x[0], trained.params)
    parts = [{key: value[:count] for key, value in data[split].items()} for split, count in shown.items()]
    scenes = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    keys = jax.random.split(jax.random.key(config.seed), len(scenes["images"]))
    out = jax.jit(lambda *args: forward(network, *args))(params, scenes, keys)
    meaning = {"masks": MASKS, "targets": TARGETS[config.data.scenes], "phases": "nthw", "first_step": 0}
    return {
        **scenes,
        "phases": np.asarray(jnp.moveaxis(out.first_phases, 0, 1), np.float16),
        "set": np.repeat(list(shown), [len(part["images"]) for part in parts]),
        "meaning": np.array(json.dumps(meaning)),
    }


def draw(scenes: str, models: Mapping[str, Table], tests: Mapping[str, Table], workdir: Path) -> None:
    """All pictures and the comparison of this family, from what a workdir holds; the tables by label.

    levels_KIND.png, and for each GASPnet phases_MODEL_SET.png and animation_MODEL.gif; steps.json, steps.md.
    """
    metrics, figures = engine.load_metrics(workdir), workdir / "figures"
    models = {label: model for label, model in models.items() if label in metrics}
    steps.write(workdir, steps.compare(scenes, metrics, models, tests))
    _draw_levels(figures, metrics, list(models), tests)
    for label, arrays in engine.load_samples(workdir, models).items():
        draw_samples(figures, label, arrays)


def draw_samples(figures: Path, model: str, arrays: Arrays) -> None:
    """phases_MODEL_SET.png of every test set, animation_MODEL.gif with the first scene of each."""
    if not arrays:
        return
    meaning = json.loads(str(arrays["meaning"])) if "meaning" in arrays else EARLIER
    after = slice(1 - meaning["first_step"], None)
    objects = slice(1 if meaning["masks"] == MASKS else 0, None)
    phases = arrays["phases"][:, after, ..., None].astype(np.float32)
    shown = {"images": arrays["images"], "masks": arrays["masks"][..., objects], "phases": phases}
    shown["amplitude"] = np.ones(phases[:, 0].shape)
    sets = {split: np.flatnonzero(arrays["set"] == split) for split in dict.fromkeys(arrays["set"])}
    for split, chosen in sets.items():
        of_set = {key: array[chosen] for key, array in shown.items()}
        sheet = plotting.scene_sheet(**of_set, title=f"{model}: phases of the first block, {split}")
        plotting.save(sheet, figures / f"phases_{model}_{split}.png")
    first = [chosen[0] for chosen in sets.values()]
    of_each = {key: array[first] for key, array in shown.items()}
    animation = plotting.phase_animation(**of_each, names=list(sets), title=f"{model}: phases of the first block")
    plotting.save_animation(animation, figures / f"animation_{model}.gif")


def _draw_levels(figures: Path, metrics: engine.Metrics, models: list[str], tests: Mapping[str, Table]) -> None:
    """levels_KIND.png: accuracy over the steps, one panel per level of a corruption or size of an item."""
    for kind, title in TITLES.items():
        levels = [label for label, test in tests.items() if test["kind"] == kind]
        levels = [label for label in levels if any(label in metrics[model] for model in models)]
        rows = []
        for name, chance in {"item": 0.1, "picture": 0.1}.items() if kind == "item" else [("accuracy", 0.2)]:
            values = [{m: engine.last_values(metrics, m, level, name)[1] for m in models} for level in levels]
            rows.append([
                {
                    "values": {model: array for model, array in panel.items() if array.size},
                    "ylabel": f"{level}: {name}",
                    "chance": chance,
                }
                for level, panel in zip(levels, values, strict=True)
            ])  # fmt: skip
        if levels:
            figure = plotting.curve_grid(rows, models=models, title=title)
            plotting.save(figure, figures / f"levels_{kind}.png")
