"""Objects found by contrastive learning (SimCLR): the networks, two views of every picture, the loss and the scores."""

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jax import Array
from ml_collections import ConfigDict

from experiments import engine, groups
from experiments.akorn.data import SIZE, colours, num_groups, true_labels
from experiments.akorn.views import view
from experiments.engine import Table
from oscnets import grouping, models
from oscnets.dynamics import sphere

Scored = tuple[Array, dict[str, Array]]  # a loss, and scalars to log

TEMPERATURE = 0.1
MAX_DIMS = 128  # principal components that features are clustered by


def akorn(config: ConfigDict, model: Table) -> models.AKOrN:
    """AKOrN with the head of discovery."""
    settings = config.model
    return models.discovery_akorn(
        channels=settings.channels,
        num_layers=settings.num_layers,
        components=settings.components,
        coupling=model["coupling"],
        heads=settings.heads,
        kernel_size=settings.kernel_size,
        num_steps=settings.num_steps,
        patch=settings.patch,
    )


def itrsa(config: ConfigDict, model: Table) -> models.ItrSA:
    """Iterated self-attention."""
    del model
    return models.ItrSA(heads=config.model.heads, **_iterated(config))


def itrconv(config: ConfigDict, model: Table) -> models.ItrConv:
    """Iterated convolution."""
    del model
    return models.ItrConv(kernel_size=config.model.kernel_size, **_iterated(config))


def _iterated(config):
    names = {"channels": "channels", "num_blocks": "num_layers", "num_steps": "num_steps", "patch": "patch"}
    return {"head": "discovery"} | {name: config.model[entry] for name, entry in names.items()}


BUILDERS: dict[str, Callable[[ConfigDict, Table], nn.Module]] = {"akorn": akorn, "itrsa": itrsa, "itrconv": itrconv}


def make_task(config: ConfigDict, model: Table, tests: Mapping[str, Table]) -> engine.Task:
    """The task of one model, given its own config, its table and those of the test sets by label."""
    network, train = BUILDERS[model["network"]](config, model), config.train
    example = jnp.zeros((1, SIZE, SIZE, colours(config)))
    init = partial(network.init, images=example)
    if isinstance(network, models.AKOrN):
        init = partial(init, noise=noise_of(network, jax.random.key(0)[None], example))
    features_on = cache(lambda tiles: partial(evaluated, network, tiles))
    task = engine.Task(
        init,
        partial(loss, network),
        partial(losses, network),
        engine.optimizer.make(train),
        score="-loss",
        evaluate_on=lambda label: features_on(tests[label]["tiles"]),
        on_host=partial(groups.on_host, true_labels, cluster=partial(group, num_groups(config))),
        may_slice=False,
    )
    return engine.averaged(task, decay=train.average_decay, every=train.average_every, start=train.average_start)


def noise_of(network: models.AKOrN, keys: Array, images: Array) -> Array:
    """States before the first step, (B, H, W, C)."""
    shape = *(side // network.patch for side in images.shape[1:3]), network.channels
    return jax.vmap(lambda key: jax.random.normal(key, shape))(keys)


def run(network: nn.Module, params, images: Array, keys: Array) -> Any:
    """The network's output; the noise of each picture is drawn by its own key, (B,)."""
    if not isinstance(network, models.AKOrN):
        return network.apply(params, images)
    return network.apply(params, images, noise=noise_of(network, keys, images))


def losses(network: nn.Module, params, batch, keys) -> dict[str, Array]:
    """Cross-entropy of each picture's partner among all other views of the batch, the mean over its two views, (B,).

    Within the engine the batch is the whole one, of all devices. No picture may be in it twice.
    """
    embedded = []
    for i in range(2):
        split = jax.vmap(partial(jax.random.split, num=2))(jax.vmap(partial(jax.random.fold_in, data=i))(keys))
        views = jax.vmap(view)(split[:, 0], batch["images"])
        embedded.append(sphere.normalize(run(network, params, views, split[:, 1]).logits))
    return {"loss": contrast(*embedded)}


def contrast(first: Array, second: Array) -> Array:
    """SimCLR's loss (B,) of unit vectors (B, D) of two views of each picture, at temperature 0.1."""
    count = len(first)
    own = jnp.concatenate([first, second])
    every, place = _of_all_devices(first, second)
    total = len(every) // 2
    rows = place + jnp.arange(count)
    itself, partner = jnp.concatenate([rows, rows + total]), jnp.concatenate([rows + total, rows])
    products = jnp.matmul(own, every.T, precision="highest") / TEMPERATURE
    products = jnp.where(itself[:, None] == jnp.arange(2 * total), -1e8, products)
    entropy = optax.softmax_cross_entropy_with_integer_labels(products, partner)
    return entropy.reshape(2, count).mean(0)


def _of_all_devices(first: Array, second: Array) -> tuple[Array, Array | int]:
    """Both views of the pictures of every device, and the place of this one's: outside the engine it is alone."""
    try:
        index = jax.lax.axis_index("data")
    except NameError:
        return jnp.concatenate([first, second]), 0
    gathered = [jax.lax.all_gather(x, "data", tiled=True) for x in (first, second)]
    return jnp.concatenate(gathered), index * len(first)


def loss(network: nn.Module, params, batch, keys) -> Scored:
    """The mean of `losses`."""
    return losses(network, params, batch, keys)["loss"].mean(), {}


def evaluated(network: nn.Module, tiles: int, params, batch, keys) -> dict[str, Array]:
    """`features` (B, H, W, C), unit vectors at every patch; with tiles s at s times as many.

    No `losses`: the last batch of a test set is filled up with copies, which would count as other pictures.
    """
    shifted = models.up_tiles(batch["images"], tiles, patch=network.patch)
    each = jax.vmap(lambda key: jax.random.split(key, tiles * tiles))(keys).T
    tiled = jax.lax.map(lambda pair: run(network, params, *pair).features, (shifted, each))
    return {"features": models.interleave(tiled)}


def group(number: int, features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Clusters (..., N, H, W) of features (..., N, h, w, C) by average linkage, at the size of labels (N, H, W)."""
    options = {"method": "agglomerative", "max_dims": MAX_DIMS, "size": labels.shape[1:]}
    return grouping.clusters(features, number, **options)
