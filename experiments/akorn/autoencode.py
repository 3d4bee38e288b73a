"""Shapes told apart by autoencoders of rotating features: their networks, loss and scores."""

from collections.abc import Callable, Mapping
from functools import partial

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array
from ml_collections import ConfigDict

from experiments import engine, groups
from experiments.akorn.data import SIZE, colours, num_groups, true_labels
from experiments.engine import Table
from oscnets import grouping, models

Scored = tuple[Array, dict[str, Array]]  # a loss, and scalars to log


def rotating_features(config: ConfigDict, model: Table) -> models.RotatingFeatures:
    """Rotating Features."""
    del model
    settings = config.model
    return models.RotatingFeatures(settings.components, settings.channels, settings.latent)


def complex_autoencoder(config: ConfigDict, model: Table) -> models.RotatingFeatures:
    """The Complex AutoEncoder, with two components whatever the config says."""
    del model
    return models.complex_autoencoder(channels=config.model.channels, latent=config.model.latent)


BUILDERS: dict[str, Callable[[ConfigDict, Table], nn.Module]] = {
    "rotating_features": rotating_features,
    "complex_autoencoder": complex_autoencoder,
}


def make_task(config: ConfigDict, model: Table, tests: Mapping[str, Table]) -> engine.Task:
    """The task of one model, given its own config; the best validation loss is kept."""
    del tests
    network = BUILDERS[model["network"]](config, model)
    example = jnp.zeros((1, SIZE, SIZE, colours(config)))
    evaluate_oriented = partial(oriented, network)
    return engine.Task(
        partial(network.init, images=example),
        partial(loss, network),
        partial(errors, network),
        engine.with_statistics(engine.optimizer.make(config.train)),
        score="-loss",
        evaluate_on=lambda label: evaluate_oriented,
        on_host=partial(groups.on_host, true_labels, cluster=partial(group, num_groups(config))),
        may_slice=False,
    )


def loss(network: models.RotatingFeatures, variables, batch, keys) -> Scored:
    """Mean squared error of the reconstruction; on several devices each normalizes its part of the batch alone."""
    del keys
    images = batch["images"]
    out, moved = network.apply(variables, images, train=True, mutable=["batch_stats"])
    error = ((out.reconstruction - images) ** 2).mean()
    return error + engine.statistics_term(variables, moved), {}


def errors(network: models.RotatingFeatures, variables, batch, keys) -> dict[str, Array]:
    """Mean squared error of each picture, (B,)."""
    del keys
    out = network.apply(variables, batch["images"])
    return {"loss": ((out.reconstruction - batch["images"]) ** 2).mean((1, 2, 3))}


def oriented(network: models.RotatingFeatures, variables, batch, keys) -> dict[str, Array]:
    """The same, and `features` (B, H, W, D), what the pixels are clustered by."""
    del keys
    out = network.apply(variables, batch["images"])
    features = grouping.orientation_features(out.features, convention=network.biases)
    return {"loss": ((out.reconstruction - batch["images"]) ** 2).mean((1, 2, 3)), "features": features}


def group(number: int, features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Clusters (..., N, H, W) of features (..., N, H, W, D); one more for pixels where shapes overlap."""
    found = grouping.clusters(features, number, mask=labels >= 0)
    return np.where(found < 0, number, found)
