"""Objects in the states of a network: features of its pixels, and clusters of these in every picture.

What published scores of object discovery are made of; the scores themselves are in `oscnets.metrics`.

    phases, KomplexNet's and GASPnet's      phase_features, k-means
    Rotating Features                       orientation_features, k-means, objects + 1 clusters
    the Complex AutoEncoder                 orientation_features(convention="polar"), k-means, objects + 1 clusters
    AKOrN                                   unit vectors (`dynamics.sphere.normalize`), average linkage, max_dims=128

Pixels where objects overlap are left out by `mask`. `clusters` runs scikit-learn on the host and has no derivative.
"""

from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from oscnets._inputs import at_least_float32, broadcasting, floats, standard_promotion, whole_number
from oscnets._sharding import batch_sharded, run_sharded
from oscnets.dynamics import sphere
from oscnets.phase import angle, modulus, sincos

__all__ = ["clusters", "orientation_features", "phase_features"]


def __dir__() -> list[str]:
    return __all__


CONVENTIONS = ("rotation", "polar")
METHODS = ("kmeans", "agglomerative")


@standard_promotion
def phase_features(phases: Array, amplitude: Array | float = 1.0) -> Array:
    """Phases as points that can be averaged: amplitude (cos phase, sin phase), channel by channel.

    Angles themselves must not be clustered: those of 0.1 and of 2 pi - 0.1 are near each other.

    Args:
        phases: (..., C) radians, any real value.
        amplitude: how much each counts, >= 0, broadcasting to `phases`, for example the drive of a Kuramoto step.

    Returns:
        (..., 2 C), the cosine of each channel before its sine.

    Raises:
        ValueError: phases without an axis, an amplitude that does not broadcast.
    """
    phases, amplitude = floats(phases=phases, amplitude=amplitude)
    if not phases.ndim:
        raise ValueError("phases must be (..., C), got shape ()")
    wide = at_least_float32(phases.dtype)
    (amplitude,) = broadcasting(phases.shape, "phases", wide, amplitude=amplitude)
    amplitude = jnp.broadcast_to(amplitude, phases.shape)
    features = run_sharded(_vectors, (amplitude, phases.astype(wide)), {}, batch=phases, core=1)
    return features.astype(phases.dtype)


@jax.jit
def _vectors(length: Array, phases: Array) -> Array:
    """length (cos, sin) of (..., C), as (..., 2 C)."""
    sine, cosine = sincos(phases)
    out = length[..., None] * jnp.stack([cosine, sine], axis=-1)
    return out.reshape(*phases.shape[:-1], 2 * phases.shape[-1])


@standard_promotion
@batch_sharded("features", core=4)
def orientation_features(
    features: Array,
    threshold: Array | float = 0.1,
    *,
    convention: Literal["rotation", "polar"] = "rotation",
) -> Array:
    """What clusters of rotating features are made of: orientations, where features are large enough to have one.

    Args:
        features: (..., H, W, C, n), of `models.Rotated`.
        threshold: norm above which a feature has an orientation, > 0.
        convention: `rotation`, of the published scores of Rotating Features: the unit vectors of the features above the
            threshold, and 0 of others, averaged over the channels that have one. `polar`, of the published scores of
            the Complex AutoEncoder: the vector of length w at the angle w phase with w = min(norm / threshold, 1),
            which turns small features as it shortens them.

    Returns:
        (..., H, W, n) for `rotation`, else (..., H, W, C n), channel by channel.

    Raises:
        ValueError: features of too few axes, an unknown convention, other than 2 components for `polar`.
    """
    (features,) = floats(features=features)
    if features.ndim < 4 or not features.shape[-1]:
        raise ValueError(f"features must be (..., H, W, C, n), got shape {features.shape}")
    if convention not in CONVENTIONS:
        raise ValueError(f"convention must be one of {', '.join(CONVENTIONS)}, got {convention!r}")
    if convention == "polar" and features.shape[-1] != 2:
        raise ValueError(f"features must have 2 components for convention 'polar', got shape {features.shape}")
    wide = features.astype(at_least_float32(features.dtype))
    (threshold,) = broadcasting((), "a number", wide.dtype, threshold=threshold)
    return (_turned if convention == "polar" else _oriented)(wide, threshold).astype(features.dtype)


@jax.jit
def _oriented(features: Array, threshold: Array) -> Array:
    size = sphere.norm(features)[..., None]
    # Written so that NaN counts as large and stays.
    large = ~(size <= threshold)
    units = jnp.where(large, sphere.normalize(features), 0)
    return units.sum(-2) / (large.sum(-2) + 1e-8)


@jax.jit
def _turned(features: Array, threshold: Array) -> Array:
    real, imag = features[..., 0], features[..., 1]
    weight = modulus(real, imag) / threshold
    weight = jnp.where(weight > 1, 1, weight)
    return _vectors(weight, weight * angle(real, imag))


def clusters(
    features: Any,
    num_clusters: Any,
    *,
    method: Literal["kmeans", "agglomerative"] = "kmeans",
    mask: Any = None,
    max_dims: int | None = None,
    size: tuple[int, int] | None = None,
    num_starts: int = 10,
    seed: int = 0,
) -> np.ndarray:
    """Groups of the pixels of every picture that have similar features.

    Args:
        features: (..., H, W, D).
        num_clusters: how many groups, >= 1; an integer, or integers that broadcast to the pictures (...). Fewer where
            there are fewer different pixels.
        method: of scikit-learn: `kmeans` (k-means++), or `agglomerative`, average linkage of Euclidean distances.
        mask: (..., H, W), the pixels that are grouped, broadcasting to the pictures; None groups all.
        max_dims: features of more dimensions are projected to so many principal components of their picture.
        size: height and width of the result; each of its pixels has the group of the nearest. None: that of the
            features.
        num_starts: k-means begins so many times and keeps its best result.
        seed: of these starts, in [0, 2**32); a picture's groups do not depend on the other pictures.

    Returns:
        int32 (..., H, W), or of the given size: groups 0, 1, ... in no particular order, -1 outside of the mask.

    Raises:
        ImportError: scikit-learn is missing.
        ValueError: features of fewer than three axes, or not finite where they are grouped, shapes that do not fit, a
            number below 1, an unknown method.
        TypeError: complex features, or numbers of groups that are not integers.
    """
    (features,) = floats(features=features)
    features = np.asarray(features.astype(at_least_float32(features.dtype)))
    if features.ndim < 3 or not features.shape[-1]:
        raise ValueError(f"features must be (..., H, W, D), got shape {features.shape}")
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    shape = features.shape[:-1]
    counted = _broadcast("mask", True if mask is None else np.asarray(mask) != 0, shape)
    if not np.isfinite(features[counted]).all():
        raise ValueError("features that are grouped must be finite")
    numbers = _broadcast("num_clusters", _whole_numbers(num_clusters), shape[:-2])
    if max_dims is not None:
        max_dims = whole_number("max_dims", max_dims, 1)
    fit = partial(_fitted, method, whole_number("num_starts", num_starts, 1), whole_number("seed", seed))
    groups = np.full(shape, -1, np.int32)
    # One thread: the points are few, and sums in another order would be other sums.
    with _scikit_learn()[1](1):
        for picture in np.ndindex(shape[:-2]):
            inside = counted[picture]
            points = _principal(features[picture][inside], max_dims)
            groups[picture][inside] = fit(points, int(numbers[picture]))
    return groups if size is None else _nearest(groups, size)


def _broadcast(name: str, values: Any, shape: tuple[int, ...]) -> np.ndarray:
    try:
        return np.broadcast_to(values, shape)
    except ValueError:
        raise ValueError(f"{name} must broadcast to {shape}, got shape {np.shape(values)}") from None


def _whole_numbers(num_clusters: Any) -> np.ndarray:
    numbers = np.asarray(num_clusters)
    if not np.issubdtype(numbers.dtype, np.integer):
        raise TypeError(f"num_clusters must be integers, got {numbers.dtype}")
    if numbers.size and numbers.min() < 1:
        raise ValueError(f"num_clusters must be >= 1, got {numbers.min()}")
    return numbers


def _principal(points: np.ndarray, max_dims: int | None) -> np.ndarray:
    """Points (P, D) in their first principal components, where there are more than wanted."""
    if max_dims is None or min(points.shape) <= max_dims:
        return points
    centred = points - points.mean(0)
    return centred @ np.linalg.svd(centred, full_matrices=False)[2][:max_dims].T


def _fitted(method: str, num_starts: int, seed: int, points: np.ndarray, number: int) -> np.ndarray:
    """Groups (P,) of points (P, D)."""
    number = min(number, len(np.unique(points, axis=0)))
    if number < 2:
        return np.zeros(len(points), np.int32)
    cluster, _ = _scikit_learn()
    if method == "agglomerative":
        return cluster.AgglomerativeClustering(number, linkage="average").fit_predict(points)
    return cluster.KMeans(number, n_init=num_starts, random_state=seed).fit_predict(points)


def _scikit_learn() -> tuple[Any, Any]:
    try:
        from sklearn import cluster
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise ImportError(f"clusters of pixels take scikit-learn ({error}): pip install scikit-learn") from error
    return cluster, threadpool_limits


def _nearest(groups: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    rows, columns = (
        np.arange(to) * of // to
        for to, of in zip((whole_number("size", side, 1) for side in size), groups.shape[-2:], strict=True)
    )
    return groups[..., rows[:, None], columns]
