"""The JAX side of the comparison: the engine's training step on pixelwise cross-entropy."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.bench import waves as comparison
from experiments.bench.jax_komplexnet import relative_differences, train_step
from experiments.engine import Task
from experiments.waves import task as tasks
from oscnets import interop, metrics, models

MODULES = {"wave_machine": models.NeuralWaveMachine, "conv_lstm": models.ConvLSTM}


def train(
    *, kind: str, size: int, channels: int, hidden: list[int], num_steps: int, batch_size: int, all_devices: bool
) -> tuple[Callable[[], None], dict[str, Any]]:
    """The side of a comparison: Adam at 1e-3, one seed."""

    def make_task() -> Task:
        module = MODULES[kind](channels=channels, hidden=tuple(hidden), num_steps=num_steps)
        init = lambda key: module.init(key, jnp.zeros((1, size, size, 1)))  # noqa: E731

        def evaluate(params: Any, batch: dict[str, Any], _: Any) -> dict[str, Any]:
            return metrics.foreground_scores(module.apply(params, batch["images"]).logits, batch["labels"])

        return Task(init, partial(tasks.loss, module), evaluate, optax.adam(1e-3), score="accuracy")

    return train_step(make_task, comparison.scenes(batch_size, size), all_devices=all_devices)


def differences(*, path: str, kind: str, size: int, batch_size: int, **_: Any) -> tuple[Callable[[], None], dict]:
    """Compare loss and gradients with those that the other side left in `path`, on its weights.

    Differences are relative: to the loss, and to the largest value of each array of the gradient.
    """
    with np.load(path) as stored:
        arrays = dict(stored)
    under = lambda prefix: {k.removeprefix(prefix): a for k, a in arrays.items() if k.startswith(prefix)}  # noqa: E731
    module, params = interop.from_torch(kind, under("state/"))
    loss = jax.jit(jax.value_and_grad(partial(tasks.loss, module), has_aux=True))
    (value, _), gradient = loss(params, comparison.scenes(batch_size, size), None)
    # Gradients have the layouts of their weights, so that they are read by the same table.
    _, expected = interop.from_torch(kind, under("gradient/"))
    relative = {"loss": abs(float(value) / float(arrays["loss"]) - 1)} | relative_differences(gradient, expected)
    return lambda: None, {"differences": relative}
