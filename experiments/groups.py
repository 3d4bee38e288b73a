"""Scores of the groups that a model's oscillators form, without labels: for the tasks of the families.

A test set that is `grouped` has so many scenes. Its evaluation gives `features` of the pixels beside its scores, and
`on_host` puts the scores of their clusters in the place of these: by default as many clusters as a scene has objects
and one for the background; pixels of several objects are left out.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from experiments import engine
from oscnets import grouping, metrics

Arrays = dict[str, np.ndarray]

LABELS = {
    "ari": "ARI of groups, with the background (1: perfect)",
    "fg_ari": "ARI of groups on the objects (1: perfect)",
    "mbo": "mean best overlap of objects and groups (1: perfect)",
}
GROUPED = engine.Entry(
    0,
    "number of scenes, the first of the test set, whose groups of pixels are scored too (ari, fg_ari, mbo); 0: no such "
    "scores",
    engine.at_least(0),
)


def grouped(tests: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """Labels of the test sets that are `grouped`, from their tables by label."""
    return tuple(label for label, test in tests.items() if test["grouped"])


def labels_of(masks: np.ndarray, overlap: np.ndarray | None = None) -> np.ndarray:
    """Masks (..., G) of objects -> labels (...): k + 1 in mask k alone, 0 in none, -1 in several or in the overlap."""
    several = masks.sum(-1) > 1
    if overlap is not None:
        several |= overlap
    return np.where(several, -1, (masks * (1 + np.arange(masks.shape[-1]))).sum(-1))


def by_kmeans(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Groups of features (..., N, H, W, D): as many as the labels (N, H, W) of a scene have objects, and one more."""
    return grouping.clusters(features, 1 + labels.max((1, 2)).clip(0), mask=labels >= 0)


def on_host(
    labels: Callable[[Arrays], np.ndarray],
    label: str,
    data: Arrays,
    values: Arrays,
    *,
    cluster: Callable[[np.ndarray, np.ndarray], np.ndarray] = by_kmeans,
) -> dict[str, Any]:
    """What was evaluated, with scores of groups in place of the features, where there are some; see `engine.Task`.

    Args:
        labels: arrays of a test set -> labels (N, H, W) of its scenes, see `labels_of`.
        label: of the test set.
        data: its arrays.
        values: (S, N, ...) by name, maybe with `features` (S, N, h, w, D). Those that are not finite have no scores.
        cluster: features and labels -> groups (S, N, H, W).
    """
    del label
    if "features" not in values:
        return values
    features, truth = values["features"], labels(data)
    finite = np.isfinite(features).all((2, 3, 4))
    features = np.where(finite[..., None, None, None], features, 0)
    found = scores(truth, cluster(features, truth))
    for name in ("ari", "fg_ari"):
        found[name] = np.where(finite, found[name], np.nan)
    found["mbo"] = engine.Measured(np.where(finite, found["mbo"].values, np.nan), found["mbo"].where)
    return {name: value for name, value in values.items() if name != "features"} | found


def scores(labels: np.ndarray, groups: np.ndarray) -> dict[str, Any]:
    """ARI with and without the background and mean best overlap, (S, N) each.

    Args:
        labels: (N, H, W), 0 for the background, -1 for pixels that count nowhere.
        groups: (S, N, H, W) integers, those of each seed.
    """

    def of_seeds(score, **options):
        return np.stack([np.asarray(score(labels, each, **options)) for each in groups])

    has_objects = np.broadcast_to((labels > 0).any((1, 2)), groups.shape[:2])
    return {
        "ari": of_seeds(metrics.foreground_ari, background=None),
        "fg_ari": of_seeds(metrics.foreground_ari),
        "mbo": engine.Measured(of_seeds(metrics.mean_best_overlap), has_objects),
    }


def matched(labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Groups (H, W) under the numbers of the labels (H, W) that each overlaps most, for colours that agree.

    The largest overlaps first; groups that are left have numbers above those of the labels.
    """
    shares = {(g, k): ((groups == g) & (labels == k)).sum() for g in np.unique(groups) for k in np.unique(labels)}
    names: dict[int, int] = {}
    for group, label in sorted(shares, key=shares.get, reverse=True):
        if group not in names and label >= 0 and label not in names.values() and shares[group, label]:
            names[group] = label
    free = iter(range(int(labels.max()) + 1, int(labels.max()) + 1 + len(np.unique(groups))))
    return np.vectorize(lambda group: names[group] if group in names else names.setdefault(group, next(free)))(groups)
