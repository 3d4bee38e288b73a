"""Scores of the groups that a model's oscillators form, without labels: for the tasks of the families.

A test set's first scenes are clustered, each into as many groups as it has objects and one for the background; pixels
of several objects are left out.
"""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments import engine
from oscnets import grouping, metrics

LABELS = {
    "ari": "ARI of groups, with the background (1: perfect)",
    "fg_ari": "ARI of groups on the objects (1: perfect)",
    "mbo": "mean best overlap of objects and groups (1: perfect)",
}
GROUPED = engine.Entry(
    0, "scenes, the first, whose groups of pixels are scored: ari, fg_ari and mbo; k-means, not a compiled program",
    engine.at_least(0),
)  # fmt: skip


def labels_of(masks: Array, overlap: Array | None = None) -> Array:
    """Masks (..., G) of objects -> labels (...): k + 1 in mask k alone, 0 in none, -1 in several or in the overlap."""
    number = masks.sum(-1)
    several = number > 1 if overlap is None else (number > 1) | overlap
    return jnp.where(several, -1, (masks * (1 + jnp.arange(masks.shape[-1]))).sum(-1))


def on_host(num_examples: int, outputs: Callable[..., dict[str, Array]]) -> engine.OnHost:
    """The scores as a task has them.

    Args:
        num_examples: scenes that are clustered.
        outputs: (params, batch, keys) -> features (B, H, W, D) of the pixels, and their labels (B, H, W).
    """
    return engine.OnHost(num_examples, outputs, scores)


def scores(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray | engine.Measured]:
    """ARI with and without the background and MBO, (N,) each, of k-means; NaN of features that are not finite."""
    features, labels = arrays["features"], arrays["labels"]
    finite = np.isfinite(features).all((1, 2, 3))
    features = np.where(finite[:, None, None, None], features, 0)
    found = grouping.clusters(features, 1 + labels.max((1, 2)).clip(0), mask=labels >= 0)
    values = {
        "ari": metrics.foreground_ari(labels, found, background=None),
        "fg_ari": metrics.foreground_ari(labels, found),
        "mbo": metrics.mean_best_overlap(labels, found),
    }
    by_name = {name: np.where(finite, np.asarray(value), np.nan) for name, value in values.items()}
    # Scenes without objects have no best overlap.
    return by_name | {"mbo": engine.Measured(by_name["mbo"], (labels > 0).any((1, 2)))}
