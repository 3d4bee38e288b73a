"""Groups of pixels found in pictures: how many, and their scores."""

from typing import Any

import numpy as np
from ml_collections import ConfigDict

from experiments import engine
from oscnets import metrics


def num_groups(config: ConfigDict) -> int:
    """Clusters of a picture: the most objects there are, and the background."""
    data = config.data
    return 1 + (data.num_shapes if data.set == "shapes" else data.num_pieces[1])


def scores(labels: np.ndarray, groups: np.ndarray) -> dict[str, Any]:
    """(S, N) each: FG-ARI, the adjusted Rand index with the background, and mean best overlap.

    Args:
        labels: (N, H, W), 0 for the background, -1 where objects overlap: such pixels count nowhere.
        groups: (S, N, H, W) integers, those of each seed.
    """
    has_objects = (labels > 0).any((1, 2))

    def of_seeds(score, **options):
        return np.stack([np.asarray(score(labels, each, **options)) for each in groups])

    return {
        "fg_ari": of_seeds(metrics.foreground_ari),
        "ari": of_seeds(metrics.foreground_ari, background=None),
        "mbo": engine.Measured(of_seeds(metrics.mean_best_overlap), np.tile(has_objects, (len(groups), 1))),
    }
