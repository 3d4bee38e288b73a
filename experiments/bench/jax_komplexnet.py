"""The JAX side of the comparison: the training step of the experiment itself."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from experiments import engine
from experiments.bench import komplexnet as comparison
from experiments.bench.aot import arithmetic, kernels
from experiments.configs import komplexnet as configs
from experiments.engine import devices as mesh
from experiments.engine import seeds, steps
from experiments.komplexnet import specs
from experiments.komplexnet import task as tasks
from oscnets import interop


def model_of(family: engine.Family, config: ConfigDict, text: str) -> engine.Model:
    """A model of a family, from its shorthand."""
    name, table = family.models.parse(text, family.model)
    with config.unlocked():
        config.models = {name: table}
    engine.complete(config, family)
    (model,) = family.experiment(config, engine.tables(config, "tests")).models.values()
    return model


def train(
    *, batch_size: int, num_steps: int, kernel_size: int, all_devices: bool, feedback: bool = False
) -> tuple["Step", dict[str, Any]]:
    """The side of a comparison: the step of the experiment."""

    def make_task() -> engine.Task:
        config = configs.get_config("paper")
        config.model.update(num_steps=num_steps, kernel_size=kernel_size)
        config.train.batch_size = batch_size
        return model_of(specs.FAMILY, config, "feedback" if feedback else "komplexnet").task()

    return train_step(make_task, _batch(batch_size), all_devices=all_devices)


@dataclass
class Step:
    """A training step that goes on from its own result.

    Attributes:
        compiled: the program.
        state: parameters and the optimizer's state.
        fixed: what it takes besides, always the same.
        count: updates done.
    """

    compiled: jax.stages.Compiled
    state: tuple[Any, Any]
    fixed: tuple[Any, ...]
    count: int = 0

    def __call__(self) -> None:
        """One update, to its end."""
        update = jax.block_until_ready(self.compiled(*self.state, *self.fixed, np.int32(self.count), np.int32(0)))
        self.state, self.count = (update.params, update.opt_state), self.count + 1


def train_step(
    make_task: Callable[[], engine.Task], batch: dict[str, np.ndarray], *, all_devices: bool
) -> tuple[Step, dict[str, Any]]:
    """The engine's step on a task, one seed, on one device or on all, again and again on one batch."""
    mesh.configure_cpu_devices(None if all_devices else 1)
    devices = jax.local_devices()[: None if all_devices else 1]
    batch_size = len(batch["images"])
    task, plan = make_task(), seeds.make_plan(0, 1, batch_size, "loop", devices)
    (seed,) = plan.split(plan.seeds)
    data = mesh.replicate(plan.mesh, batch)
    state = steps.make_initialize(task, plan)(seed)
    fixed = (seed, steps.make_order(plan, batch_size)(seed, np.int32(0)), data)
    start = time.perf_counter()
    lowered = steps.make_step(task, plan, batch_size, 1).lower(*state, *fixed, np.int32(0), np.int32(0))
    step = lowered.compile()
    taken = time.perf_counter() - start
    where = {"devices": plan.mesh.size, "device": devices[0].device_kind, "threads": mesh.usable_cores()}
    work = {"flops": arithmetic.flops(lowered.as_text("hlo")).total, "bytes": kernels.count(step.as_text()).bytes}
    return Step(step, state, fixed), {"jax": jax.__version__, "compile_seconds": taken, **where, **work}


def differences(
    *, path: str, batch_size: int, feedback: bool = False, **_: int
) -> tuple[Callable[[], None], dict[str, Any]]:
    """Compare loss and gradients with those that the other side left in `path`, on its weights and phases.

    Differences are relative: to the loss, and to the largest value of each array of the gradient.
    """
    with np.load(path) as stored:
        arrays = dict(stored)
    state, reference = (_under(arrays, prefix) for prefix in ("state/", "gradient/"))
    length = int(arrays["num_steps"])
    rates = configs.get_config("paper").feedback.all.to_dict() if feedback else {}
    network, params = interop.from_torch("komplexnet", state, num_steps=length, **rates)
    batch = _batch(batch_size) | {"phases": np.moveaxis(arrays["phases"], 1, -1)}
    loss = partial(tasks.complex_loss, network, 1.0, phases=lambda network, batch, keys: batch["phases"])
    keys = jax.random.split(jax.random.key(0), batch_size)
    (value, _), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(params, batch, keys)
    # Gradients have the layouts of their weights, so that they are read by the same table.
    _, expected = interop.from_torch("komplexnet", reference)
    relative = {"loss": abs(float(value) / float(arrays["loss"]) - 1)} | relative_differences(gradient, expected)
    return lambda: None, {"differences": relative}


def relative_differences(gradient: Any, expected: Any) -> dict[str, float]:
    """Largest difference of every array of a gradient, relative to the largest value expected of it."""
    relative = {}
    for (keys, leaf), other in zip(jax.tree.leaves_with_path(gradient), jax.tree.leaves(expected), strict=True):
        name = f"gradient of {jax.tree_util.keystr(keys[1:], simple=True, separator='/')}"
        relative[name] = float(jnp.abs(leaf - other).max() / jnp.abs(other).max())
    return relative


def _batch(batch_size: int) -> dict[str, np.ndarray]:
    scenes = comparison.scenes(batch_size)
    return {
        "images": scenes["images"],
        "masks": scenes["masks"],
        "targets": np.eye(10, dtype=np.float32)[scenes["labels"]].max(1),  # not by JAX, which must not start yet
    }


def _under(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}
