"""What a run keeps of each model for pictures, and the pictures."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from experiments import engine
from experiments.engine.record.results import in_order, load_config
from experiments.engine.training.splits import Splits
from experiments.komplexnet import names, pictures_metrics, pictures_samples
from experiments.komplexnet.tasks import ideal_start, make_network, random_start

SAMPLED = {"test": 4, "overlap": 2, "noise": 2}  # scenes of each test set that the pictures show; else of validation


def sample(config: ConfigDict, trained: engine.Trained, data: Splits) -> dict[str, np.ndarray]:
    """Arrays for the pictures: scenes not trained on, the first seed's phases over time, of its layers, its kernels.

    Scenes of all sets in `SAMPLED` follow each other: images, masks, overlap, targets, and phases (N, T, H, W, C),
    amplitude (N, H, W, C), layer_l2 and so on: complex, of the last step. `set` names the set of each. Kernels are
    before/NAME and after/NAME.
    """
    shown = {split: count for split, count in SAMPLED.items() if split in data} or {"validation": 4}
    if names.model(trained.name).network not in names.COMPLEX:
        return {}
    network = make_network(config, trained.name)
    start = ideal_start if network.phases == "ideal" else random_start
    params, initial = (jax.tree.map(lambda x: x[0], tree) for tree in (trained.params, trained.initial_params))
    parts = [{key: value[:count] for key, value in data[split].items()} for split, count in shown.items()]
    scenes = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    keys = jax.random.split(jax.random.key(config.seed), len(scenes["images"]))
    out = jax.jit(network.apply)(params, scenes["images"], phases0=start(scenes, keys, network.channels))
    layers = {f"layer_{name}": np.asarray(z.parts[0]) + 1j * np.asarray(z.parts[1]) for name, z in out.layers.items()}
    kernels = {
        f"{when}/{name}": tree["params"][name]
        for when, tree in (("before", initial), ("after", params))
        for name in tree["params"]
        if name == "coupling_kernel" or name.startswith("feedback")
    }
    sets = np.array([split for split, part in zip(shown, parts, strict=True) for _ in part["images"]])
    phases = np.asarray(jnp.moveaxis(out.trajectory, 0, 1), np.float16)
    return {
        **scenes, **layers, **kernels, "set": sets, "phases": phases, "amplitude": np.asarray(out.amplitude),
    }  # fmt: skip


def draw(workdir: Path) -> None:
    """The pictures of this experiment: of the samples in the workdir, and of its metrics."""
    wanted = load_config(workdir)["config"]["models"]
    paths = {path.stem: path for path in (workdir / "samples").glob("*.npz")}
    samples = {}
    for name in in_order(sorted(paths), wanted):
        with np.load(paths[name]) as stored:
            samples[name] = dict(stored)
    pictures_samples.draw(workdir / "figures", {name: arrays for name, arrays in samples.items() if arrays})
    pictures_metrics.draw(workdir)
