"""Scenes, answers and scores that are the same for all networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import engine
from experiments.compare import task
from experiments.compare.data import Data
from experiments.compare.specs import FAMILY
from oscnets import metrics
from tests.experiments.families import CONFIGS, config_of, experiment_of

MODELS = CONFIGS["compare"].MODELS


@pytest.mark.parametrize("name", CONFIGS["compare"].EXPERIMENTS)
def test_all_networks_see_the_same_scenes(name):
    experiment = experiment_of(FAMILY, f"{name},smoke")
    splits = {label: model.data for label, model in experiment.models.items()}
    images = {label: data["train"]()["images"] for label, data in splits.items()}
    assert all(each is images["komplexnet"] for each in images.values())
    fine, coarse = (splits[label]["test"]()["masks"] for label in ("komplexnet", "gaspnet"))
    assert fine.shape == (12, 16, 16, 2) and coarse.shape == (12, 8, 8, 3)
    scenes = splits["nwm_linear"]["groups"]()
    for labels, objects, targets in zip(scenes["labels"], scenes["objects"], scenes["targets"], strict=True):
        assert set(np.unique(objects)) >= {0, 1, 2}
        assert set(np.flatnonzero(targets) + 1) == set(np.unique(labels[labels > 0]))
        assert ((labels > 0) == (objects > 0)).all()


def test_overlap_counts_nowhere():
    scenes = experiment_of(FAMILY, "digits,smoke").models["real"].data["overlap"]()
    both = scenes["overlap"]
    assert both.any() and (scenes["objects"][both] == -1).all() and (scenes["labels"][both] == 0).all()
    assert (scenes["targets"].sum(1) == 2).all()


def test_a_scene_is_named_by_the_classes_that_cover_most_of_it():
    rng = np.random.default_rng(0)
    labels = np.array([[[1] * 8, [3] * 5 + [0] * 3, [2, 2] + [0] * 6], [[2] * 8, [0] * 8, [4] * 3 + [1] * 2 + [0] * 3]])
    logits = 20.0 * jax.nn.one_hot(labels, 5) + 0.1 * rng.normal(size=(*labels.shape, 5))
    found = task.scene_logits(logits)
    expected = jax.nn.softmax(logits).mean((1, 2))[:, 1:]
    np.testing.assert_allclose(jnp.exp(found), expected, rtol=1e-5)
    targets = np.array([[1, 0, 1, 0], [0, 1, 0, 1]])
    assert metrics.multi_label_scores(found, targets)["accuracy"].tolist() == [1, 1]


def theirs_of(config, name):
    return task.of_family(engine.of_model(config, name), engine.tables(config, "models")[name])


def test_each_network_is_trained_by_the_task_of_its_family():
    """The entries of its family and of its table reach the task; the rates are those of the table."""
    config = config_of(FAMILY, "digits")
    for name, family in (("komplexnet", "komplexnet"), ("baseline", "gaspnet"), ("cnn_8", "waves")):
        theirs, table = theirs_of(config, name)
        assert task.family_of(table).name == family and table["network"] == MODELS[name]["network"]
        assert theirs.model.to_dict() == config.model[family].to_dict()
        assert theirs.train.learning_rate == MODELS[name].get("train", {}).get("learning_rate", 1e-3)
        sizes = [getattr(theirs.train, key) for key in ("epochs", "num_examples", "batch_size")]
        assert sizes == [getattr(config.train, key) for key in ("epochs", "num_examples", "batch_size")]
    assert theirs_of(config, "real")[0].train.clip_norm == 2.0
    assert theirs_of(config, "nwm_linear")[0].train.clip_norm is None
    assert theirs_of(config, "komplexnet")[0].train.one_step == 0.55
    assert theirs_of(config, "gaspnet")[0].train.plain_first == 0.5
    config.models.komplexnet.model.komplexnet.num_steps = 9
    assert theirs_of(config, "komplexnet")[0].model.num_steps == 9


@pytest.mark.parametrize("name", ["real", "baseline", "cnn_8"])
def test_scores_of_networks_without_phases(name):
    """Accuracy is that of `answer`; groups are those of features at the network's own resolution."""
    config = config_of(FAMILY, "digits,smoke")
    experiment = FAMILY.experiment(config, engine.tables(config, "tests"))
    model = experiment.models[name]
    of = model.task()
    params, scenes = of.init(jax.random.key(0)), model.data["groups"]()
    scenes = {key: array[:4] for key, array in scenes.items()}
    keys = jax.random.split(jax.random.key(1), 4)
    plain, grouped = of.evaluate(params, scenes, keys), of.evaluate_on("groups")(params, scenes, keys)
    assert of.evaluate_on("test") is of.evaluate and plain.keys() == grouped.keys() - {"features"}
    logits = task.answer(task.make_network(model.config, model.table), params, scenes, keys)
    expected = metrics.multi_label_scores(logits, scenes["targets"])["accuracy"]
    np.testing.assert_allclose(plain["accuracy"], expected)
    side = 8 if name == "baseline" else 16
    assert grouped["features"].shape[:3] == (4, side, side)
    values = {key: np.asarray(value)[None] for key, value in grouped.items()}
    found = of.on_host("groups", scenes, values)
    assert found.keys() == plain.keys() | {"fg_ari", "pixels_fg_ari"}
    assert found["fg_ari"].shape == found["pixels_fg_ari"].shape == (1, 4)


def test_groups_of_perfect_features_are_the_objects():
    """Also of a coarser layer."""
    objects = np.zeros((2, 8, 8), int)
    objects[:, :4, :4], objects[:, 4:, 2:] = 1, 2
    for step in (1, 2):
        features = np.eye(3)[objects[:, ::step, ::step]][None]
        found = task.group(features, objects)
        assert found.shape == (1, 2, 8, 8) and ((found[0] < 0) == (objects == 0)).all()
        np.testing.assert_allclose(metrics.foreground_ari(objects, found[0]), 1)


@pytest.mark.parametrize(
    ("variant", "entry", "value", "expected"),
    [
        ("digits", "models.real.readout", "fft", "None"),
        ("digits", "models.cnn_8.depth", None, "a depth"),
        ("digits", "tests.test.std", 0.2, "None"),
        ("digits", "tests.overlap.max_overlap", None, "a value"),
        ("digits", "tests.test.sampled", 3, "at most grouped=0"),
        ("tetrominoes", "tests.test.kind", "overlap", "test or noise"),
    ],
)
def test_values_that_do_not_suit_are_named(variant, entry, value, expected):
    with pytest.raises(engine.UsageError, match=rf"config\.{entry}={value!r}: expected {expected}"):
        config_of(FAMILY, f"{variant},smoke", **{entry: value})


def test_scenes_of_two_tetrominoes():
    config = config_of(FAMILY, "tetrominoes,smoke")
    model = engine.tables(config, "models")["real"]
    scenes = Data(config).of_model(model, False, {})["train"]()
    assert scenes["images"].shape == (16, 16, 16, 3) and not scenes["overlap"].any()
    assert (scenes["masks"].sum((1, 2)) == 4 * 3**2).all()
    assert set(scenes["targets"].sum(1)) <= {1, 2} and not scenes["targets"][:, 5:].any()
