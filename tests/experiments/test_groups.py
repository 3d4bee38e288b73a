"""Scores of groups of oscillators: labels of masks, perfect and chance groups, and what is undefined."""

import numpy as np

from experiments import groups
from oscnets import grouping


def test_labels_of_masks():
    masks = np.array([[[1, 0], [0, 1], [0, 0], [1, 1]]], bool)
    np.testing.assert_array_equal(groups.labels_of(masks), [[1, 2, 0, -1]])
    overlap = np.array([[0, 0, 1, 0]], bool)
    np.testing.assert_array_equal(groups.labels_of(masks[:, :, :1], overlap), [[1, 0, -1, 1]])


def scenes(count, side=12, seed=0):
    """Labels of two objects of a row each, an overlap and the background."""
    labels = np.zeros((count, side, side), int)
    labels[:, 2:5], labels[:, 7:10], labels[:, 4, :3] = 1, 2, -1
    return labels


def test_scores_of_groups():
    """Of two seeds: phases by object, at random, and some that are not finite."""
    labels = scenes(3)
    rng = np.random.default_rng(1)
    phases = 2 * np.pi / 3 * labels + 0.1 * rng.normal(size=(2, *labels.shape))
    phases[1, 1] = rng.uniform(0, 6, labels[1].shape)
    features = np.array(grouping.phase_features(phases[..., None]))
    features[1, 2, 0, 0] = np.nan
    values = {"accuracy": np.ones((2, 3)), "features": features}
    found = groups.on_host(lambda data: data["labels"], "test", {"labels": labels}, values)
    assert found.keys() == {"accuracy", *groups.LABELS} and found["mbo"].where.all()
    for value in (found["ari"], found["fg_ari"], found["mbo"].values):
        np.testing.assert_allclose(value[0], 1)
        np.testing.assert_allclose(value[1, 0], 1)
        assert np.isnan(value[1, 2])
    assert abs(found["ari"][1, 1]) < 0.1 and abs(found["fg_ari"][1, 1]) < 0.1
    assert 0.1 < found["mbo"].values[1, 1] < 0.3


def test_without_features_nothing_is_scored():
    values = {"accuracy": np.ones((2, 3))}
    assert groups.on_host(None, "test", {}, values) == values


def test_a_scene_without_objects_has_no_best_overlap():
    labels = scenes(2)
    labels[1] = 0
    found = groups.scores(labels, labels[None])
    assert found["mbo"].where.tolist() == [[True, False]]
    np.testing.assert_allclose(found["mbo"].values[0, 0], 1)


def test_groups_take_the_number_of_the_object_they_overlap_most():
    labels = np.array([[0, 0, 0, 1, 1, -1], [0, 0, 0, 1, 2, 2]])
    found = np.array([[5, 5, 5, 0, 0, 0], [5, 5, 7, 0, 3, 3]])
    assert groups.matched(labels, found).tolist() == [[0, 0, 0, 1, 1, 1], [0, 0, 3, 1, 2, 2]]
