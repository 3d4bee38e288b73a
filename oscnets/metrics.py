"""Scores of predictions, one value per example. A NaN among the logits that count makes an example's scores NaN.

Half precision is computed in float32. Scores of no examples are empty.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from oscnets._groups import group_sums, mean_separation
from oscnets._inputs import (
    at_least_float32,
    class_indices,
    concrete,
    dense_array,
    floats,
    hot_targets,
    precision,
    standard_promotion,
    whole_number,
)
from oscnets._sharding import run_sharded
from oscnets.phase import modulus

__all__ = [
    "adjusted_rand_index",
    "foreground_ari",
    "foreground_scores",
    "mean_best_overlap",
    "multi_hot",
    "multi_label_scores",
    "phase_separation",
    "resized_labels",
    "segmentation_scores",
]


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
def phase_separation(phases: Array, masks: Array, amplitude: Array | None = None) -> dict[str, Array]:
    """Whether each group of pixels has one phase, and how far apart the phases of two groups are.

    Groups that share one phase have order 1 and separation 0; random phases a low order, and pi / 2 on average.

    Args:
        phases: (..., H, W, C) radians. Half precision is computed in float32.
        masks: (..., H, W, G), bool or 0/1, G >= 2; leading axes broadcast against those of `phases`.
        amplitude: (..., H, W, C) or None. Units of amplitude 0 are left out.

    Returns:
        Both (...,): `order`, the modulus of the order parameter of a group's units in a channel, in [0, 1], its mean
        over channels and groups; `separation`, the angle between the mean phases of two groups over their pixels and
        channels, radians in [0, pi], its mean over pairs of groups. What has no units is left out of both; without any
        the order is 1, without a pair the separation 0. NaN where the phase or amplitude of a unit that counts is.
        Gradients are finite; that of `separation` is 0 where two phases are equal or opposite, where it has none.

    Raises:
        ValueError: fewer than two groups; else as `oscnets.losses.cluster_synchrony`.
    """
    size, real, imag = group_sums(phases, masks, amplitude)
    if size.shape[-2] < 2:
        raise ValueError(f"masks must be (..., H, W, G) of at least two groups, got {size.shape[-2]}")
    present = size != 0
    number = present.sum((-2, -1))
    orders = modulus(real, imag) / jnp.where(present, size, 1)
    order = jnp.where(number == 0, 1, orders.sum((-2, -1)) / jnp.maximum(number, 1))
    return {"order": order, "separation": mean_separation(real.sum(-1), imag.sum(-1), present.any(-1))}


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


@standard_promotion
def adjusted_rand_index(labels: Array, predicted: Array, mask: Array | None = None) -> Array:
    """Adjusted Rand index of two partitions, one value per picture (Hubert and Arabie, 1985).

    Of the pairs of pixels, how many the partitions agree on, less what chance gives: 1 for equal partitions, about 0
    for independent ones. Names of groups do not matter. It is scikit-learn's `adjusted_rand_score`.

    Args:
        labels, predicted: (B, ...) integers of any values.
        mask: (B, ...), the pixels that count; None counts all. Labels < 0 of overlap, for example, are left out by
            `mask=labels >= 0`.

    Returns:
        (B,) in JAX's default floating type, in [-0.5, 1]; 1 where both partitions are a single group or all of single
        pixels, and for a picture of which at most one pixel counts.

    Raises:
        ValueError: labels of a floating type, shapes that differ.
    """
    return _each(_rand_of_picture, *_partitions(labels, predicted, mask))


def _rand_of_picture(labels: Array, predicted: Array, mask: Array) -> Array:
    """Of (P,) pixels. Shares of all pairs, not their numbers, which float32 would round."""
    dtype, total = jnp.result_type(float), mask.sum()
    sizes = [_sizes(ids, mask) for ids in _groups(labels, predicted)]

    def share_of_pairs(sizes: Array) -> Array:
        return (sizes.astype(dtype) / jnp.maximum(total, 1) * ((sizes - 1) / jnp.maximum(total - 1, 1))).sum()

    both, true, found = (share_of_pairs(jnp.maximum(x, 1)) for x in sizes)
    # Of groups that are refined by their common refinement alone, the numbers of groups are equal.
    counts = [(x > 0).sum() for x in sizes]
    equal = (counts[0] == counts[1]) & (counts[0] == counts[2])
    expected, largest = true * found, (true + found) / 2
    return jnp.where(equal, 1, (both - expected) / jnp.where(equal, 1, largest - expected))


@standard_promotion
def foreground_ari(labels: Array, predicted: Array, *, background: int | None = 0, ignored: int | None = -1) -> Array:
    """Adjusted Rand index over the pixels of objects (FG-ARI), one value per picture.

    Args:
        labels: (B, ...) integers, the true objects.
        predicted: (B, ...) integers, the groups found.
        background: label that is left out; None leaves out none, which is ARI-BG, the index with the background.
        ignored: another one, of pixels where objects overlap; None leaves out none.

    Returns:
        (B,): `adjusted_rand_index` of the pixels left; 1 for a picture without objects. With one object only it is 1
        where that lies in one group and else exactly 0, as published scores have it.

    Raises:
        ValueError: as there.
    """
    labels = _integers("labels", labels)
    return adjusted_rand_index(labels, predicted, _kept(labels, background, ignored))


@standard_promotion
def mean_best_overlap(
    labels: Array,
    predicted: Array,
    *,
    background: int | None = 0,
    ignored: int | None = -1,
    empty: float = -1.0,
) -> Array:
    """Mean best overlap (MBO): every object's best intersection over union with a group, its mean over the objects.

    Of labels of instances it is MBO_i, of labels of classes MBO_c.

    Args:
        labels: (B, ...) integers, the true objects.
        predicted: (B, ...) integers, the groups found; any number of objects may have the same best one.
        background: label that is no object; its pixels count in the unions. None: every label is an object.
        ignored: label of pixels that count nowhere, neither in objects nor in groups; None ignores none.
        empty: score of a picture without objects. Published means leave such pictures out.

    Returns:
        (B,) in [0, 1], or `empty`, in JAX's default floating type.

    Raises:
        ValueError: labels of a floating type, shapes that differ.
    """
    labels = _integers("labels", labels)
    counted, objects = _kept(labels, None, ignored), _kept(labels, background, ignored)
    labels, predicted, counted = _partitions(labels, predicted, counted)
    best = _each(_overlap_of_picture, labels, predicted, counted, objects)
    return jnp.where(jnp.isnan(best), jnp.asarray(empty, best.dtype), best)


def _overlap_of_picture(labels: Array, predicted: Array, counted: Array, objects: Array) -> Array:
    """Of (P,) pixels; NaN without objects."""
    dtype = jnp.result_type(float)
    both, true, found = _groups(labels, predicted)
    common, own, other = (_sizes(ids, counted)[ids] for ids in (both, true, found))
    overlap = common.astype(dtype) / jnp.maximum(own + other - common, 1)
    best = jax.ops.segment_max(jnp.where(objects, overlap, -1), true, len(labels))
    present = _sizes(true, objects) > 0
    count = present.sum()
    return jnp.where(count == 0, jnp.nan, jnp.where(present, best, 0).sum() / jnp.maximum(count, 1))


@standard_promotion
def resized_labels(labels: Array, height: int, width: int, *, num_classes: int) -> Array:
    """Labels of a coarse grid at a finer one: the nearest, then the most frequent within a disk.

    As the published scores of Rotating Features on frozen features have it. The radius of the disk is height // h, as
    far as it lies in the picture; of equally frequent labels the smallest wins.

    Args:
        labels: (B, h, w) integers in 0 to num_classes - 1.
        height, width: of the result, at least h and w.
        num_classes: number of labels, static.

    Returns:
        (B, height, width) integers.

    Raises:
        ValueError: labels that are not 3-D, of a floating type, or out of range; a smaller height or width.
    """
    num_classes = whole_number("num_classes", num_classes, 1)
    labels = class_indices("labels", labels, num_classes)
    if labels.ndim != 3:
        raise ValueError(f"labels must be (B, h, w), got shape {labels.shape}")
    sizes = whole_number("height", height, labels.shape[1]), whole_number("width", width, labels.shape[2])
    resize = partial(_resized, sizes, num_classes)
    return run_sharded(resize, (labels,), {}, batch=labels, core=2)


@partial(jax.jit, static_argnums=(0, 1))
def _resized(sizes: tuple[int, int], num_classes: int, labels: Array) -> Array:
    rows, columns = (jnp.arange(to) * of // to for to, of in zip(sizes, labels.shape[1:], strict=True))
    fine = labels[:, rows[:, None], columns]
    radius = sizes[0] // labels.shape[1]
    offset = jnp.arange(-radius, radius + 1)
    disk = (offset[:, None] ** 2 + offset**2 <= radius**2).astype(jnp.float32)
    classes = jnp.arange(num_classes)[:, None, None, None]
    same = (fine == classes).astype(jnp.float32).reshape(-1, 1, *sizes)
    votes = jax.lax.conv_general_dilated(same, disk[None, None], (1, 1), "SAME", precision=precision())
    return votes.reshape(num_classes, *fine.shape).argmax(0)


def _groups(labels: Array, predicted: Array) -> tuple[Array, Array, Array]:
    """Numbers below P of each pixel's group in the common refinement, in `labels` and in `predicted`."""
    return _numbered(labels, predicted), _numbered(labels), _numbered(predicted)


def _numbered(*labels: Array) -> Array:
    order = jnp.lexsort(labels)
    new = sum(jnp.diff(x[order], prepend=x[order[:1]]) != 0 for x in labels) > 0
    return jnp.zeros(len(order), int).at[order].set(jnp.cumsum(new))


def _sizes(ids: Array, mask: Array) -> Array:
    """Pixels of each group that count, (P,)."""
    return jax.ops.segment_sum(mask.astype(int), ids, len(ids))


def _each(fn: Callable[..., Array], *arrays: Array) -> Array:
    """A function of (P,) pixels, of every picture of (B, ...)."""
    return run_sharded(partial(_of_batch, fn), arrays, {}, batch=arrays[0], core=arrays[0].ndim - 1)


@partial(jax.jit, static_argnums=0)
def _of_batch(fn: Callable[..., Array], *arrays: Array) -> Array:
    size = len(arrays[0])
    if not arrays[0].size:  # no pictures, or pictures of no pixels
        arrays = tuple(jnp.zeros((size, 1), x.dtype) for x in arrays)
    return jax.vmap(fn)(*(x.reshape(size, -1) if size else x for x in arrays))


def _kept(labels: Array, *left_out: int | None) -> Array:
    kept = jnp.ones(labels.shape, bool)
    for label in left_out:
        kept &= True if label is None else labels != label
    return kept


def _integers(name: str, labels: Array) -> Array:
    labels = dense_array(name, labels)
    if not jnp.issubdtype(labels.dtype, jnp.integer) and labels.dtype != bool and labels.size:
        raise ValueError(f"{name} must be integers, got {labels.dtype} {labels.shape}")
    return labels.astype(int)


def _partitions(labels: Array, predicted: Array, mask: Array | None) -> tuple[Array, Array, Array]:
    labels, predicted = _integers("labels", labels), _integers("predicted", predicted)
    mask = jnp.ones(labels.shape, bool) if mask is None else dense_array("mask", mask) != 0
    if not labels.ndim or predicted.shape != labels.shape or mask.shape != labels.shape:
        raise ValueError(
            "labels, predicted and mask must have one shape (B, ...), "
            f"got {labels.shape}, {predicted.shape} and {mask.shape}"
        )
    return labels, predicted, mask
