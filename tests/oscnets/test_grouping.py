"""Groups of pixels: features of phases and of rotating features in small cases, clusters against known partitions."""

import sys
from itertools import pairwise

import numpy as np
import pytest
from scipy.cluster import hierarchy

from oscnets import grouping, metrics

THIRD = 2 * np.pi / 3


def test_phases_are_points_on_circles():
    found = grouping.phase_features([[0.0, np.pi / 2]], [[2.0, 0.5]])
    np.testing.assert_allclose(found, [[2, 0, 0, 0.5]], atol=1e-6)
    near, far = (grouping.phase_features([a]) - grouping.phase_features([b]) for a, b in ((0.1, 6.2), (0.1, 3.2)))
    assert np.linalg.norm(near) < 0.2 < 1.9 < np.linalg.norm(far)
    assert grouping.phase_features(np.zeros((2, 3, 4))).shape == (2, 3, 8)


def test_orientations_are_averaged_over_large_features():
    features = np.array([[0.3, 0.4], [0.0, 0.05], [-2.0, 0.0]]).reshape(1, 1, 3, 2)
    expected = [(0.6 - 1) / 2, 0.8 / 2]
    np.testing.assert_allclose(grouping.orientation_features(features)[0, 0], expected, atol=1e-6)
    assert not np.any(grouping.orientation_features(0 * features))


def test_small_features_are_shortened_and_turned_by_the_published_score():
    features = np.array([[0.3, 0.4], [0.0, 0.05], [-2.0, 0.0]]).reshape(1, 1, 3, 2)
    half = 0.5 * np.array([np.cos(np.pi / 4), np.sin(np.pi / 4)])
    found = grouping.orientation_features(features, convention="polar")[0, 0]
    np.testing.assert_allclose(found, [0.6, 0.8, *half, -1, 0], atol=1e-6)


def pictures(count=3, side=8, seed=0):
    """Labels (count, side, side) of three groups, and phases near those of a group, across the cut of the circle."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, (count, side, side))
    return labels, labels * THIRD + rng.normal(0, 0.2, labels.shape) + 2 * np.pi * rng.integers(-3, 3, labels.shape)


@pytest.mark.parametrize("method", grouping.METHODS)
def test_groups_of_phases(method):
    labels, phases = pictures()
    found = grouping.clusters(grouping.phase_features(phases[..., None]), 3, method=method)
    assert found.dtype == np.int32 and set(np.unique(found)) == {0, 1, 2}
    np.testing.assert_allclose(metrics.adjusted_rand_index(labels, found), 1)


def test_pixels_outside_of_the_mask_count_nowhere():
    labels, phases = pictures()
    phases[labels == 0] = np.random.default_rng(1).uniform(-3, 3, (labels == 0).sum())
    features = grouping.phase_features(phases[..., None])
    found = grouping.clusters(features, 2, mask=labels > 0)
    assert (found[labels == 0] == -1).all() and set(np.unique(found)) == {-1, 0, 1}
    np.testing.assert_allclose(metrics.foreground_ari(labels, found), 1)
    assert (grouping.clusters(features, 2, mask=False) == -1).all()
    holes = np.where((labels > 0)[..., None], features, np.nan)
    np.testing.assert_array_equal(grouping.clusters(holes, 2, mask=labels > 0), found)


def test_each_picture_has_a_number_of_groups_of_its_own():
    _, phases = pictures(4)
    features = np.asarray(grouping.phase_features(phases[..., None]))
    found = grouping.clusters(features.reshape(2, 2, 8, 8, 2), [[1, 2], [3, 4]])
    assert [len(np.unique(x)) for x in found.reshape(4, -1)] == [1, 2, 3, 4]
    for i, number in enumerate((1, 2, 3, 4)):
        np.testing.assert_array_equal(grouping.clusters(features[i], number), found.reshape(4, 8, 8)[i])
    assert grouping.clusters(features[:0], 2).shape == (0, 8, 8)


@pytest.mark.parametrize("method", grouping.METHODS)
def test_there_are_no_more_groups_than_different_pixels(method):
    features = np.zeros((2, 3, 3, 2))
    features[1, 0, 0] = 1
    found = grouping.clusters(features, 4, method=method)
    assert [len(np.unique(x)) for x in found] == [1, 2] and (found[1] == found[1, 0, 0]).sum() == 1


def test_average_linkage_is_that_of_a_reference():
    features = np.random.default_rng(2).normal(size=(5, 6, 3)).astype(np.float32)
    expected = hierarchy.fcluster(hierarchy.linkage(features.reshape(-1, 3), "average"), 4, "maxclust")
    found = grouping.clusters(features, 4, method="agglomerative")
    assert metrics.adjusted_rand_index(expected[None], found.reshape(1, -1)) == 1


def test_principal_components_keep_the_distances_that_matter():
    """Groups that differ along two directions of large variance; the others are noise that would mislead."""
    rng = np.random.default_rng(3)
    labels, phases = pictures(1, 12)
    signal = 20 * np.asarray(grouping.phase_features(phases[..., None]))
    turn = np.linalg.qr(rng.normal(size=(40, 40)))[0]
    features = np.concatenate([signal, rng.normal(size=(1, 12, 12, 38))], -1) @ turn
    found = grouping.clusters(features, 3, method="agglomerative", max_dims=2)
    np.testing.assert_allclose(metrics.adjusted_rand_index(labels, found), 1)
    projected = grouping._principal(features[0].reshape(-1, 40), 2)
    values, vectors = np.linalg.eigh(np.cov(features[0].reshape(-1, 40).T))
    expected = (features[0].reshape(-1, 40) - features[0].reshape(-1, 40).mean(0)) @ vectors[:, np.argsort(-values)[:2]]
    np.testing.assert_allclose(abs(projected), abs(expected), atol=1e-8)
    assert grouping._principal(features[0, 0], 20) is not None and grouping._principal(features[0, 0], 20).shape == (
        12,
        40,
    )


def test_the_result_at_a_finer_grid():
    labels = np.array([[0, 1], [2, 2]])
    features = grouping.phase_features(THIRD * labels[..., None])
    coarse = grouping.clusters(features, 3)
    np.testing.assert_array_equal(grouping.clusters(features, 3, size=(4, 6)), np.kron(coarse, np.ones((2, 3), int)))
    odd = grouping.clusters(features, 3, size=(3, 2))
    np.testing.assert_array_equal(odd, coarse[[0, 0, 1]])


def test_seeds_and_starts():
    features = np.random.default_rng(4).normal(size=(1, 12, 12, 2))
    groups = [grouping.clusters(features, 12, num_starts=n, seed=s) for n, s in ((1, 0), (1, 0), (1, 1), (30, 0))]
    np.testing.assert_array_equal(groups[0], groups[1])
    assert (groups[0] != groups[2]).any()
    spread = [sum(((features[g == k] - features[g == k].mean(0)) ** 2).sum() for k in range(12)) for g in groups]
    assert spread[3] < spread[0] and all(spread[3] <= b for _, b in pairwise(spread))


def test_without_scikit_learn_there_is_one_clear_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match=r"take scikit-learn .*pip install scikit-learn"):
        grouping.clusters(np.eye(2)[..., None], 2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: grouping.phase_features(1.0), ValueError, r"phases must be \(..., C\)"),
        (lambda: grouping.phase_features(np.zeros(2), np.zeros(3)), ValueError, "amplitude must be"),
        (lambda: grouping.orientation_features(np.zeros((2, 2))), ValueError, r"features must be \(..., H, W, C, n\)"),
        (
            lambda: grouping.orientation_features(np.zeros((2, 2, 1, 3)), convention="polar"),
            ValueError,
            "must have 2 components",
        ),
        (
            lambda: grouping.orientation_features(np.zeros((2, 2, 1, 3)), convention="angle"),
            ValueError,
            "convention must be one of",
        ),
        (lambda: grouping.clusters(np.zeros((2, 2)), 2), ValueError, r"features must be \(..., H, W, D\)"),
        (
            lambda: grouping.clusters(np.full((1, 2, 2), np.nan), 2),
            ValueError,
            "grouped must be finite",
        ),
        (
            lambda: grouping.clusters(np.array([[[0.0], [np.nan]]]), 2, mask=[[0, 1]]),
            ValueError,
            "grouped must be finite",
        ),
        (lambda: grouping.clusters(np.zeros((1, 2, 2)), 0), ValueError, "num_clusters must be >= 1, got 0"),
        (lambda: grouping.clusters(np.zeros((1, 2, 2)), 2.0), TypeError, "num_clusters must be integers, got float64"),
        (lambda: grouping.clusters(np.zeros((1, 2, 2)), [2, 2]), ValueError, r"num_clusters must broadcast to \(\)"),
        (
            lambda: grouping.clusters(np.zeros((1, 2, 2)), 2, mask=[1, 0, 1]),
            ValueError,
            r"mask must broadcast to \(1, 2\)",
        ),
        (lambda: grouping.clusters(np.zeros((1, 2, 2)), 2, method="means"), ValueError, "method must be one of kmeans"),
        (lambda: grouping.clusters(np.zeros((1, 2, 2)), 2, max_dims=0), ValueError, "max_dims must be >= 1"),
        (lambda: grouping.clusters(np.zeros((1, 2, 2)), 2, num_starts=0), ValueError, "num_starts must be >= 1"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
