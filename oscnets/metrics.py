"""Scores of predictions, one value per example. A NaN among the logits that count makes an example's scores NaN.

Half precision is computed in float32. Scores of no examples are empty.
"""

import jax
import jax.numpy as jnp
from jax import Array

from oscnets._inputs import (
    at_least_float32,
    class_indices,
    concrete,
    dense_array,
    floats,
    hot_targets,
    standard_promotion,
    whole_number,
)

__all__ = ["foreground_scores", "multi_hot", "multi_label_scores", "segmentation_scores"]


def __dir__() -> list[str]:
    return __all__


def _logits(logits: Array) -> Array:
    (logits,) = floats(logits=logits)
    return logits.astype(at_least_float32(logits.dtype))


def _only_nan(x: Array) -> Array:
    """NaN where x is, 0 elsewhere: what is added to a score to make it NaN."""
    return jnp.where(jnp.isnan(x), x, 0)


@standard_promotion
def multi_label_scores(logits: Array, targets: Array) -> dict[str, Array]:
    """Share of an image's objects that are among its highest logits.

    Args:
        logits: (..., K).
        targets: (..., K), 1 for the n classes that are present and 0 elsewhere; n may differ between images. Of logits
            (T, B, ..., K) over time also (B, ..., K), the same at every step.

    Returns:
        `accuracy`: share of the n true classes among the n highest logits (chance n / K); `exact_match`: 1 where all of
        them are. Both (...,); an image without classes scores 1. Of equal logits the lower class ranks first. NaN where
        a logit is.

    Raises:
        ValueError: targets of another shape, as class indices have (`multi_hot` converts them); other values than 0 and
            1, unless they are traced.
    """
    logits = _logits(logits)
    targets = hot_targets(logits, targets)
    values = concrete(targets)
    if values is not None and ((values > 0) & (values < 1)).any():
        raise ValueError(f"targets must be 0 or 1, got other values among {targets.shape}")
    count = targets.sum(-1, keepdims=True)
    rank = jnp.argsort(jnp.argsort(-logits, axis=-1, stable=True), axis=-1)
    correct = (targets * (rank < count)).sum(-1)
    count, nan = count[..., 0], _only_nan(logits + targets).sum(-1)
    share = jnp.where(count == 0, 1, correct / jnp.where(count == 0, 1, count))
    return {"accuracy": share + nan, "exact_match": (correct == count) + nan}


@standard_promotion
def multi_hot(labels: Array, num_classes: int) -> Array:
    """(..., n) class indices -> (..., num_classes) with 1 at each of them.

    Raises:
        ValueError: labels of a floating type, or out of range; of traced labels, those out of range are left out.
    """
    num_classes = whole_number("num_classes", num_classes, 1)
    labels = class_indices("labels", labels, num_classes)
    if not labels.ndim:
        raise ValueError(f"labels must be (..., n), got shape {labels.shape}")
    return jax.nn.one_hot(labels, num_classes).max(-2, initial=0)


@standard_promotion
def segmentation_scores(logits: Array, labels: Array, mask: Array | None = None) -> dict[str, Array]:
    """Scores of the predicted classes of all pixels, per image (Jacobs et al., 2025, equations 17 to 21).

    Args:
        logits: (B, H, W, K).
        labels: (B, H, W) class indices.
        mask: (B, H, W), the pixels that count, or weights >= 0; None counts all. Labels and logits of other pixels may
            be anything, void classes and NaN included.

    Returns:
        Each (B,): `accuracy`, the share of pixels whose highest logit is their class; `iou`, correct / (2 pixels -
        correct), which is that of the sets of (pixel, class) pairs; `loss`, the mean cross-entropy, nats. An image of
        which no pixel counts scores 1, 1 and 0. NaN where a logit of a pixel that counts is.

    Raises:
        ValueError: shapes that do not fit; labels of a floating type; one of a pixel that counts out of range, where it
            is traced all scores of the image are NaN.
    """
    logits, labels = _logits(logits), dense_array("labels", labels)
    mask = jnp.ones(labels.shape, bool) if mask is None else dense_array("mask", mask)
    if logits.ndim != 4 or labels.shape != logits.shape[:3] or mask.shape != labels.shape:
        raise ValueError(
            "labels and mask must be (B, H, W) for logits (B, H, W, K), "
            f"got {labels.shape}, {mask.shape} and {logits.shape}"
        )
    counted, num_classes = mask != 0, logits.shape[-1]
    labels = class_indices("labels", labels, num_classes, counted)
    known = (labels >= 0) & (labels < num_classes)
    logits = jnp.where(counted[..., None], logits, 0)
    true_logits = jnp.take_along_axis(logits, jnp.where(known, labels, 0)[..., None], axis=-1)[..., 0]
    loss = jnp.where(known, jax.nn.logsumexp(logits, axis=-1) - true_logits, jnp.nan)
    loss = jnp.where(counted, loss, 0)
    weights = mask.astype(logits.dtype)
    total = lambda x: (weights * x).sum((1, 2))  # noqa: E731
    pixels, nan = weights.sum((1, 2)), _only_nan(loss).sum((1, 2))
    correct = total(logits.argmax(-1) == labels) + nan
    none = pixels == 0
    some = jnp.where(none, 1, pixels)
    return {
        "accuracy": jnp.where(none, 1, correct / some),
        "iou": jnp.where(none, 1, correct / (2 * some - correct)),
        "loss": total(loss) / some,
    }


@standard_promotion
def foreground_scores(
    logits: Array, labels: Array, *, background: int = 0, mask: Array | None = None
) -> dict[str, Array]:
    """`segmentation_scores` over the pixels whose true class is not `background`.

    Args:
        logits: (B, H, W, K).
        labels: (B, H, W) class indices.
        background: its class.
        mask: (B, H, W), the pixels that count, as there; None counts all.

    Returns:
        `accuracy`, `iou` and `loss`, each (B,); 1, 1 and 0 for an image without foreground.

    Raises:
        ValueError: as there.
    """
    labels = dense_array("labels", labels)
    foreground = labels != background
    if mask is not None:
        mask = dense_array("mask", mask)
        if mask.shape != labels.shape:
            raise ValueError(f"mask must be shaped like labels {labels.shape}, got {mask.shape}")
        foreground = jnp.where(foreground, mask, 0)
    return segmentation_scores(logits, labels, foreground)
