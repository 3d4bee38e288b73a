"""Receptive fields, the pictures' place, the correlation of wavelengths with the loss, and scores of all seeds."""

from functools import partial

import jax
import numpy as np
import pytest

from experiments import engine
from experiments.waves.figures import bars, samples, wavelengths
from experiments.waves.specs import FAMILY
from experiments.waves.task import DIFFERENCES
from oscnets import models, plotting
from tests.experiments.families import config_of
from tests.helpers import random_like


def test_the_receptive_field_of_a_cnn_is_that_of_its_convolutions():
    network, image = models.CNN(2, channels=2, bins=2, hidden=(3,), num_classes=3), np.ones((9, 9, 1), np.float32)
    params = jax.tree.map(np.abs, random_like(lambda: network.init(jax.random.key(0), image[None])))
    field = np.asarray(jax.jit(partial(samples.field_of, network))(params, image, np.array([3, 5]), 1))
    inside = np.zeros((9, 9), bool)
    inside[1:6, 3:8] = True
    np.testing.assert_array_equal(field > 0, inside)


def test_the_middle_of_an_object():
    labels = np.zeros((7, 7), int)
    labels[1:4, 2:5], labels[5, :2] = 3, 1
    assert samples.middle(labels).tolist() == [2, 3]


def test_correlation():
    rng = np.random.default_rng(0)
    shares, values = rng.normal(size=(20, 3)), rng.normal(size=20)
    shares[:, 1] = 1 - 1e-6 * rng.uniform(size=20)
    found = wavelengths.correlation(shares, values)
    for i in (0, 2):
        assert found[i] == pytest.approx(np.corrcoef(shares[:, i], values)[0, 1], abs=1e-12)
    assert np.isnan(found[1])
    assert np.isnan(wavelengths.correlation(shares, np.ones(20))).all()


def test_a_validation_without_a_loss_is_left_out_of_the_course():
    """Of seed 1 the third one was not finite."""
    rng = np.random.default_rng(0)
    waves = {seed: {step: rng.uniform(size=8) for step in range(5)} for seed in (0, 1)}
    loss = {seed: {step: np.array(1.0 / (step + seed + 1)) for step in range(5)} for seed in (0, 1)}
    del loss[1][2]
    measured = {f"long_waves_{kind}": waves for kind in DIFFERENCES} | {"loss": loss}
    courses = wavelengths.courses({"m": {"validation": measured}}, ["m"])
    assert [courses["m"][kind].steps.tolist() for kind in DIFFERENCES] == 2 * [[0, 1, 3, 4]]
    del loss[1]
    assert wavelengths.courses({"m": {"validation": measured}}, ["m"]) == {}


def test_scores_of_seeds_stand_beside_the_published_ones(tmp_path, monkeypatch):
    drawn = {}
    monkeypatch.setattr(plotting, "save", lambda figure, path: drawn.__setitem__(path.name, figure))
    config = config_of(FAMILY, "tetrominoes,smoke", models=("nwm_linear", "cnn_1", "unet_2"))
    experiment = FAMILY.experiment(config, engine.tables(config, "tests"))
    values = {"accuracy": (0.9, 0.8), "iou": (0.7, 0.5), "loss": (0.2, 0.4)}
    measured = {
        prefix + name: {seed: {7: np.array(value)} for seed, value in enumerate(pair)}
        for prefix in ("", "foreground_")
        for name, pair in values.items()
    }
    metrics = {"nwm_linear": {"test": measured}, "cnn_1": {"test": measured}, "unet_2": {"train": {}}}
    bars.draw(tmp_path, config, experiment.models, "test", metrics)
    panels = {axes.get_ylabel(): axes for axes in drawn["scores.png"].axes}
    assert len(panels) == 6
    axes = panels["IoU, foreground"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["nwm_linear", "cnn_1"]
    points = [line.get_xydata().tolist() for line in axes.lines if line.get_label() == "one seed"]
    assert points == [[[0, 0.7], [0, 0.5]], [[1, 0.7], [1, 0.5]]]
    of_lines = {box.get_label(): box.lines[0].get_ydata().item() for box in axes.containers}
    assert of_lines == {"mean ± SD": pytest.approx(0.6), "published": 0.98}  # no such CNN is published
    assert "published" not in {box.get_label() for box in panels["IoU, all pixels"].containers}
    drawn.clear()
    bars.draw(tmp_path, config, experiment.models, "noise", metrics)
    assert not drawn
