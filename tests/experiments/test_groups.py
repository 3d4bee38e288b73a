"""Scores of groups of oscillators: labels of masks, perfect and chance groups, and what is undefined."""

import numpy as np

from experiments import engine, groups
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
    labels = scenes(3)
    phases = 2 * np.pi / 3 * labels + 0.1 * np.random.default_rng(0).normal(size=labels.shape)
    phases[1] = np.random.default_rng(1).uniform(0, 6, labels[1].shape)
    features = np.array(grouping.phase_features(phases[..., None]))
    features[2, 0, 0] = np.nan
    found = groups.scores({"features": features, "labels": labels})
    assert found.keys() == groups.LABELS.keys()
    values = {name: x.values if isinstance(x, engine.Measured) else x for name, x in found.items()}
    for value in values.values():
        np.testing.assert_allclose(value[0], 1)
        assert np.isnan(value[2])
    assert abs(values["ari"][1]) < 0.1 and abs(values["fg_ari"][1]) < 0.1 and 0.1 < values["mbo"][1] < 0.3


def test_a_scene_without_objects_has_no_best_overlap():
    labels = scenes(2)
    labels[1] = 0
    found = groups.scores({"features": labels[..., None] * 1.0, "labels": labels})
    assert found["mbo"].where.tolist() == [True, False]
    np.testing.assert_allclose(found["mbo"].values[0], 1)
