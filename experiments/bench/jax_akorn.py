"""The JAX side of the comparison: the engine's training step on Sudokus, and on two views of pictures."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments.akorn import discovery
from experiments.bench import akorn as comparison
from experiments.bench.jax_komplexnet import relative_differences, train_step
from experiments.engine import Task
from oscnets import interop, models
from oscnets.dynamics import sphere


def train(
    *, head: str, coupling: str, channels: int, num_steps: int, batch_size: int, all_devices: bool
) -> tuple[Callable[[], None], dict[str, Any]]:
    """The side of a comparison: Adam at 1e-3, one seed, fresh noise every time."""
    batch = comparison.batch(head, batch_size)

    def make_task() -> Task:
        make = models.AKOrN if head == "sudoku" else models.discovery_akorn
        sizes = {"channels": channels, "num_steps": num_steps, "heads": comparison.HEADS}
        kernel_size = {"kernel_size": comparison.KERNEL_SIZE}
        network = make(coupling=coupling, components=comparison.COMPONENTS, **sizes, **kernel_size)
        shape = (comparison.RUNS[head], comparison.side(head), comparison.side(head), channels)

        def loss_of(params: Any, batch: dict[str, Array], keys: Array) -> tuple[Array, dict[str, Array]]:
            noise = jax.vmap(lambda key: jax.random.normal(key, shape), out_axes=1)(keys)
            return loss(network, params, batch, noise), {}

        init = partial(network.init, images=jnp.asarray(batch["images"][:1]), noise=jnp.zeros((1, *shape[1:])))
        evaluate = lambda *of: {"loss": loss_of(*of)[0][None]}  # noqa: E731
        return Task(init, loss_of, evaluate, optax.adam(1e-3), score="-loss")

    return train_step(make_task, batch, all_devices=all_devices)


def loss(network: models.AKOrN, params: Any, batch: dict[str, Array], noise: Array) -> Array:
    """Cross-entropy of all cells of the boards, or the contrast of two views; noise (runs, B, H, W, C)."""
    if network.head == "sudoku":
        logits = network.apply(params, batch["images"], noise=noise[0]).logits
        return optax.softmax_cross_entropy_with_integer_labels(logits, batch["targets"]).mean()
    views = zip((batch["images"], batch["targets"]), noise, strict=True)
    embedded = [sphere.normalize(network.apply(params, view, noise=start).logits) for view, start in views]
    return discovery.contrast(*embedded).mean()


def differences(
    *, path: str, head: str, coupling: str, num_steps: int, batch_size: int, **_: Any
) -> tuple[Callable[[], None], dict[str, Any]]:
    """Compare loss and gradients with those that the other side left in `path`, on its weights and noise.

    Differences are relative: to the loss, and to the largest value of each array of the gradient.
    """
    with np.load(path) as stored:
        arrays = dict(stored)
    under = lambda prefix: {k.removeprefix(prefix): a for k, a in arrays.items() if k.startswith(prefix)}  # noqa: E731
    heads = {"heads": comparison.HEADS} if coupling == "attention" else {}
    network, params = interop.from_torch("akorn", under("state/"), num_steps=num_steps, **heads)
    function = jax.jit(jax.value_and_grad(partial(loss, network)))
    value, gradient = function(params, comparison.batch(head, batch_size), arrays["noise"])
    # Gradients have the layouts of their weights, so that they are read by the same table.
    _, expected = interop.from_torch("akorn", under("gradient/"))
    found = relative_differences(gradient, expected)
    return lambda: None, {"differences": {"loss": abs(float(value) / float(arrays["loss"]) - 1)} | found}
