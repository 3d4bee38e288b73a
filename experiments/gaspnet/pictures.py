"""What a run keeps of each GASPnet for pictures, and the pictures."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from experiments import engine
from experiments.engine.record.results import in_order, last_values, load_config, load_metrics
from experiments.engine.training.splits import Splits
from experiments.gaspnet import names, steps, tasks

SAMPLED = 4  # scenes of each test set
KINDS = {"gaussian": "Gaussian noise", "salt_pepper": "salt and pepper", "item": "size of the item"}


def sample(config: ConfigDict, trained: engine.Trained, data: Splits) -> dict[str, np.ndarray]:
    """Scenes of every test set, with the first seed's phases of the first block, (N, T + 1, H, W)."""
    if trained.name == "baseline":
        return {}
    network = tasks.make_network(config, trained.name)
    params = jax.tree.map(lambda x: x[0], trained.params)
    scenes = {key: np.concatenate([data[s][key][:SAMPLED] for s in data.tests]) for key in ("images", "masks")}
    keys = jax.random.split(jax.random.key(config.seed), len(scenes["images"]))
    out = jax.jit(lambda *args: tasks.present(network, *args))(params, scenes, keys)
    shown = [len(data[split]["images"][:SAMPLED]) for split in data.tests]
    phases = np.asarray(jnp.moveaxis(out.first_phases, 0, 1), np.float16)
    return {**scenes, "phases": phases, "set": np.repeat(data.tests, shown)}


def draw(workdir: Path) -> None:
    """The tests at every step, and the pictures of this experiment, from what the workdir holds."""
    steps.write(workdir)
    _draw_levels(workdir)
    for path in sorted((workdir / "samples").glob("*.npz")):
        with np.load(path) as stored:
            arrays = dict(stored)
        for split in dict.fromkeys(arrays.get("set", ())):
            _draw_phases(workdir / "figures", path.stem, split, arrays)


def _draw_phases(figures: Path, model: str, split: str, arrays: dict[str, np.ndarray]) -> None:
    from oscnets import plotting

    images, masks, phases = (arrays[key][arrays["set"] == split] for key in ("images", "masks", "phases"))
    phases = phases[:, 1:, ..., None].astype(np.float32)
    title = f"{model}: phases of the first block, {split}"
    sheet = plotting.scene_sheet(images, masks[..., 1:], phases, np.ones(phases[:, 0].shape), title=title)
    plotting.save(sheet, figures / f"phases_{model}_{split}.png")


def _draw_levels(workdir: Path) -> None:
    """levels_KIND.png: accuracy over the steps, a panel a level of a corruption or size of an item."""
    from oscnets import plotting

    metrics = load_metrics(workdir)
    models = in_order(metrics, load_config(workdir)["config"]["models"])
    splits = in_order(split for model in models for split in metrics[model] if split not in ("train", "validation"))
    for kind, title in KINDS.items():
        levels = [split for split in splits if names.test_set(split).kind == kind]
        rows = []
        for name in ("item", "picture") if kind == "item" else ("accuracy",):
            values = [{m: last_values(metrics, m, level, name)[1] for m in models} for level in levels]
            rows.append([
                {
                    "values": {model: array for model, array in panel.items() if array.size},
                    "ylabel": f"{level}: {name}",
                    "chance": 0.2 if name == "accuracy" else 0.1,
                }
                for level, panel in zip(levels, values, strict=True)
            ])  # fmt: skip
        if levels:
            figure = plotting.curve_grid(rows, models=models, title=title)
            plotting.save(figure, workdir / "figures" / f"levels_{kind}.png")
