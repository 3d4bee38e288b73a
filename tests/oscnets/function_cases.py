"""What a case of a public function is, and the cases of spheres and groups: see `functions.py`."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from oscnets import grouping, metrics, models, ops
from oscnets.dynamics import sphere


class Case(NamedTuple):
    """A call of a public function.

    Attributes:
        fn: of the arrays alone, differentiable in them unless `smooth` is False.
        arrays: float64 NumPy arrays.
        batched: which of their axes are images or examples; None for an array that has none.
        smooth: whether it has derivatives.
        keeps_nan: whether NaN in any array must show in the result.
        reduces: whether the result is one number for all images.
        positive: the last so many arrays are steps or speeds, which are refused where they are not positive.
        typed: whether arrays of any type are taken.
    """

    fn: Callable[..., Any]
    arrays: tuple[np.ndarray, ...]
    batched: tuple[int | None, ...]
    smooth: bool = True
    keeps_nan: bool = True
    typed: bool = True
    reduces: bool = False
    positive: int = 0


rng = np.random.default_rng(2)
B, N, n = 2, 5, 3
vectors, force = rng.uniform(-3, 3, (B, N, n)), rng.uniform(-3, 3, (B, N, n))
weights, rotation, rate = rng.uniform(0.2, 1, (B, N)), rng.uniform(-3, 3, (N, 1)), rng.uniform(0.2, 1, (B, 1))
labels = rng.integers(-1, 3, (B, 4, 5))


def of_labels(score: Callable[..., Any]) -> Case:
    """Scores of two partitions have no derivative, and their labels are integers."""
    fn = lambda x: score(labels[: len(x)], jnp.asarray(x) > 0)  # noqa: E731
    return Case(fn, (rng.uniform(-3, 3, (B, 4, 5)),), (0,), smooth=False, keeps_nan=False)


answers, energies = rng.uniform(-3, 3, (4, B, 5, 3)), rng.uniform(-3, 3, (4, 6, B))
features = rng.uniform(-3, 3, (B, 3, 2, 2, 2))

CASES = {
    "grouping.phase_features": Case(grouping.phase_features, (vectors, rng.uniform(0.2, 1, (B, N, n))), (0, 0)),
    "grouping.orientation_features": Case(grouping.orientation_features, (features,), (0,)),
    "grouping.orientation_features[polar]": Case(
        lambda x: grouping.orientation_features(x, 5.0, convention="polar"), (features,), (0,)
    ),
    "metrics.adjusted_rand_index": of_labels(metrics.adjusted_rand_index),
    "metrics.foreground_ari": of_labels(metrics.foreground_ari),
    "metrics.resized_labels": Case(
        lambda x: metrics.resized_labels(jnp.asarray(x) > 0, 8, 10, num_classes=2),
        (rng.uniform(-3, 3, (B, 4, 5)),),
        (0,),
        smooth=False,
        keeps_nan=False,
    ),
    "models.interleave": Case(models.interleave, (rng.uniform(-3, 3, (4, B, 2, 3, 2)),), (1,)),
    "models.up_tiles": Case(lambda x: models.up_tiles(x, 2, patch=4), (rng.uniform(-3, 3, (B, 8, 4, 2)),), (0,)),
    "metrics.mean_best_overlap": of_labels(metrics.mean_best_overlap),
    "ops.vote": Case(lambda x, e: ops.vote(x, e).logits, (answers, energies), (1, 2)),
    "ops.vote[last]": Case(lambda x, e: ops.vote(x, e, by="last").logits, (answers, energies), (1, 2)),
    "ops.vote[confidence]": Case(lambda x: ops.vote(x, by="confidence").logits, (answers,), (1,)),
    "dynamics.sphere.norm": Case(sphere.norm, (vectors,), (0,)),
    "dynamics.sphere.normalize": Case(sphere.normalize, (vectors,), (0,)),
    "dynamics.sphere.rotate": Case(sphere.rotate, (vectors, rotation), (0, None)),
    "dynamics.sphere.sphere_step": Case(
        lambda x, f, r, w: sphere.sphere_step(x, f, rate=r, rotation=w),
        (vectors, force, rate, rotation),
        (0, 0, 0, None),
    ),
    "dynamics.sphere.sphere_step[without rotation]": Case(
        lambda x, f: sphere.sphere_step(x, f, rate=0.3), (vectors, force), (0, 0)
    ),
    "dynamics.sphere.energy": Case(sphere.energy, (vectors, force, force[..., :1]), (0, 0, 0)),
    "dynamics.sphere.order_parameter": Case(
        lambda x, w: sphere.order_parameter(sphere.normalize(x), w), (vectors, weights), (0, 0)
    ),
}
