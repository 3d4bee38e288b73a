"""The JAX side of the comparison: the training step of the experiment itself."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.bench import gaspnet as comparison
from experiments.bench import jax_komplexnet
from experiments.configs import gaspnet as configs
from experiments.engine import Task
from experiments.gaspnet import specs
from experiments.gaspnet import task as tasks
from oscnets import losses


def train(*, batch_size: int, num_steps: int, all_devices: bool) -> tuple[Callable[[], None], dict[str, Any]]:
    """The side of a comparison: the engine's step on the experiment's task, one seed, on one device or on all."""

    def make_task() -> Task:
        config = configs.get_config("multi_mnist")
        config.model.num_steps = num_steps
        return jax_komplexnet.model_of(specs.FAMILY, config, "gaspnet").task()

    return jax_komplexnet.train_step(make_task, _batch(batch_size), all_devices=all_devices)


def differences(*, path: str, batch_size: int, **_: int) -> tuple[Callable[[], None], dict[str, Any]]:
    """Compare loss and gradients with those that the other side left in `path`, on its weights and phases.

    Differences are relative: to the loss, and to the largest value of each array of the gradient.
    """
    with np.load(path) as stored:
        arrays = dict(stored)
    state, reference = (from_torch(arrays, prefix) for prefix in ("state/", "gradient/"))
    config = configs.get_config("multi_mnist")
    config.model.num_steps = int(arrays["num_steps"])
    model, batch = jax_komplexnet.model_of(specs.FAMILY, config, "gaspnet"), _batch(batch_size)
    network = tasks.make_network(model.config, model.table)

    def loss(params):
        out = network.apply(params, batch["images"], phases0=arrays["phases"])
        entropy = tasks.cross_entropy("multi_hot", out.logits[-1], batch["targets"]).mean()
        synchrony = losses.cluster_synchrony(
            out.first_phases[-1][..., None], batch["masks"], normalization=config.train.synchrony_normalization
        )
        return entropy + config.train.synchrony_weight * synchrony.mean()

    value, gradient = jax.jit(jax.value_and_grad(loss))(state)
    relative = {"loss": abs(float(value) / float(arrays["loss"]) - 1)}
    for name, leaf in gradient["params"].items():
        other = reference["params"][name]
        relative[f"gradient of {name}"] = float(jnp.abs(leaf - other).max() / jnp.abs(other).max())
    return lambda: None, {"differences": relative}


def from_torch(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, dict[str, np.ndarray]]:
    """Parameters, or gradients laid out like them, of the other side's names under a prefix."""
    params = {}
    for i, name in enumerate(("block1", "block2", "block3", "hidden", "output")):
        key = f"{prefix}blocks.{i}" if i < 3 else prefix + name
        weight, maps = arrays[f"{key}.weight"], arrays[f"{prefix}maps.{i}.weight"]
        params[f"{name}_kernel"] = weight.transpose(2, 3, 1, 0) if i < 3 else weight.T
        params[f"{name}_bias"] = arrays[f"{key}.bias"]
        params[f"{name}_query"], params[f"{name}_key"] = np.split(maps.T, 2, axis=1)
    return {"params": params}


def _batch(batch_size: int) -> dict[str, np.ndarray]:
    scenes = comparison.scenes(batch_size)
    return {
        "images": scenes["images"],
        "masks": scenes["masks"],
        "targets": np.eye(10, dtype=np.float32)[scenes["labels"]].max(1),  # not by JAX, which must not start yet
    }
