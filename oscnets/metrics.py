"""Scores of predictions, one value an example."""

import jax
import jax.numpy as jnp
from jax import Array


def multi_label_scores(logits: Array, targets: Array) -> dict[str, Array]:
    """How many of an image's objects are among its highest logits.

    Args:
        logits: (..., K).
        targets: (..., K), 1 for the classes that are there and 0 elsewhere; n of them an image, n may differ.

    Returns:
        `accuracy`: share of the n true classes among the n highest logits (chance n / K); `exact`: 1 where all of them
        are. Both (...,); an image without classes scores 1. Of equal logits the lower class ranks first.
    """
    if logits.shape[-1] != targets.shape[-1]:
        raise ValueError(
            f"logits and targets must have the same number of classes, got {logits.shape} and {targets.shape}"
        )
    targets = jnp.asarray(targets, logits.dtype)
    count = targets.sum(-1, keepdims=True)
    rank = jnp.argsort(jnp.argsort(-logits, axis=-1, stable=True), axis=-1)
    found = (targets * (rank < count)).sum(-1)
    count = count[..., 0]
    share = jnp.where(count > 0, found / jnp.where(count > 0, count, 1), 1)
    return {"accuracy": share, "exact": (found == count).astype(share.dtype)}


def multi_hot(labels: Array, num_classes: int) -> Array:
    """(..., n) class indices -> (..., num_classes) with 1 at each of them."""
    return jax.nn.one_hot(labels, num_classes).max(-2)
