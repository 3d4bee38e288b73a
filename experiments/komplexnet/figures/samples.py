"""The arrays of each model that a run saves for pictures."""

import json
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments import engine
from experiments.engine import Table
from experiments.komplexnet.task import has_phases, initial_phases, make_network

IN_ALL = 4  # scenes of the validation split, where no test table has `sampled`

# What the arrays are; the axes are n scenes, t steps, h rows, w columns and c channels.
MEANING = {
    "masks": "objects",  # one mask per digit
    "targets": "multi_hot",
    "phases": "nthwc",
    "first_step": 1,  # the step of the dynamics that the first of the phases belong to
}


def sample(trained: engine.Trained, data: Mapping[str, Any], tests: Mapping[str, Table]) -> dict[str, np.ndarray]:
    """Scenes that the model was not trained on, with the first seed's phases, layers and kernels.

    Args:
        trained: the model.
        data: its splits.
        tests: by label, the tables of the test sets to take `sampled` scenes from.

    Returns:
        {} for a real-valued network; else images, masks, overlap and targets, phases (N, T, H, W, C), amplitude
        (N, H, W, C) and, complex, of the last step, layer_l2 and so on, with `set` (N,), the label of each scene's test
        set; before/NAME and after/NAME, the kernels before and after training; `meaning`, `MEANING` as JSON.
    """
    network = make_network(trained.model.config, trained.model.table)
    if not has_phases(network):
        return {}
    shown = {label: test["sampled"] for label, test in tests.items() if test["sampled"]} or {"validation": IN_ALL}
    params, initial = (jax.tree.map(lambda x: x[0], tree) for tree in (trained.params, trained.initial_params))
    parts = [{key: value[:count] for key, value in data[split].items()} for split, count in shown.items()]
    most = max(part["masks"].shape[-1] for part in parts)
    parts = [part | {"masks": _padded(part["masks"], most)} for part in parts]
    scenes = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    keys = jax.random.split(jax.random.key(trained.model.config.seed), len(scenes["images"]))
    out = jax.jit(network.apply)(params, scenes["images"], phases0=initial_phases(network, scenes, keys))
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
        "meaning": np.array(json.dumps(MEANING)),
    }  # fmt: skip


def _padded(masks: np.ndarray, count: int) -> np.ndarray:
    """Masks (N, H, W, G) with empty ones added, (N, H, W, count): scenes may have different numbers of digits."""
    return np.pad(masks, [(0, 0)] * 3 + [(0, count - masks.shape[-1])])
