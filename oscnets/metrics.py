"""Scores of predictions, one value per example."""

import jax
import jax.numpy as jnp
from jax import Array

__all__ = ["foreground_scores", "multi_hot", "multi_label_scores", "segmentation_scores"]


def __dir__() -> list[str]:
    return __all__


def multi_label_scores(logits: Array, targets: Array) -> dict[str, Array]:
    """Share of an image's objects that are among its highest logits.

    Args:
        logits: (..., K).
        targets: (..., K), 1 for the n classes that are present and 0 elsewhere; n may differ between images.

    Returns:
        `accuracy`: share of the n true classes among the n highest logits (chance n / K); `exact_match`: 1 where all of
        them are. Both (...,); an image without classes scores 1. Of equal logits the lower class ranks first.

    Raises:
        ValueError: logits and targets with different numbers of classes.
    """
    if logits.shape[-1] != targets.shape[-1]:
        raise ValueError(
            f"logits and targets must have the same number of classes, got {logits.shape} and {targets.shape}"
        )
    targets = jnp.asarray(targets, logits.dtype)
    count = targets.sum(-1, keepdims=True)
    rank = jnp.argsort(jnp.argsort(-logits, axis=-1, stable=True), axis=-1)
    correct = (targets * (rank < count)).sum(-1)
    count = count[..., 0]
    share = jnp.where(count > 0, correct / jnp.where(count > 0, count, 1), 1)
    return {"accuracy": share, "exact_match": (correct == count).astype(share.dtype)}


def multi_hot(labels: Array, num_classes: int) -> Array:
    """(..., n) class indices -> (..., num_classes) with 1 at each of them."""
    return jax.nn.one_hot(labels, num_classes).max(-2)


def segmentation_scores(logits: Array, labels: Array, mask: Array | None = None) -> dict[str, Array]:
    """Scores of the predicted classes of all pixels, per image (Jacobs et al., 2025, equations 17 to 21).

    Args:
        logits: (B, H, W, K).
        labels: (B, H, W) class indices.
        mask: (B, H, W), the pixels that count; None counts all.

    Returns:
        Each (B,): `accuracy`, the share of pixels whose highest logit is their class; `iou`, correct / (2 pixels -
        correct), which is that of the sets of (pixel, class) pairs; `loss`, the mean cross-entropy, nats. An image of
        which no pixel counts scores 1, 1 and 0.

    Raises:
        ValueError: shapes that do not fit.
    """
    logits, labels = jnp.asarray(logits), jnp.asarray(labels)
    mask = jnp.ones(labels.shape, bool) if mask is None else jnp.asarray(mask)
    if logits.ndim != 4 or labels.shape != logits.shape[:3] or mask.shape != labels.shape:
        raise ValueError(
            "labels and mask must be (B, H, W) for logits (B, H, W, K), "
            f"got {labels.shape}, {mask.shape} and {logits.shape}"
        )
    counted = mask.astype(logits.dtype)
    pixels = counted.sum((1, 2))
    correct = (counted * (logits.argmax(-1) == labels)).sum((1, 2))
    true_logits = jnp.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]
    loss = (counted * (jax.nn.logsumexp(logits, axis=-1) - true_logits)).sum((1, 2))
    some = jnp.where(pixels > 0, pixels, 1)
    return {
        "accuracy": jnp.where(pixels > 0, correct / some, 1),
        "iou": jnp.where(pixels > 0, correct / (2 * some - correct), 1),
        "loss": loss / some,
    }


def foreground_scores(logits: Array, labels: Array, *, background: int = 0) -> dict[str, Array]:
    """`segmentation_scores` over the pixels whose true class is not `background`.

    Args:
        logits: (B, H, W, K).
        labels: (B, H, W) class indices.
        background: its class.

    Returns:
        `accuracy`, `iou` and `loss`, each (B,); 1, 1 and 0 for an image without foreground.

    Raises:
        ValueError: shapes that do not fit.
    """
    return segmentation_scores(logits, labels, jnp.asarray(labels) != background)
