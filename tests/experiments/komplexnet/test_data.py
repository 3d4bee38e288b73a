"""The scenes of KomplexNet's splits and test sets."""

import numpy as np
import pytest

from data_gen import multi_mnist
from experiments import engine
from experiments.komplexnet.data import Data, of_test, of_training
from experiments.komplexnet.specs import FAMILY
from tests.experiments.families import config_of, tables


def splits(model, *tests, **changes):
    """Every split of a model, given by its shorthand, and of test sets."""
    config = config_of(FAMILY, "smoke", **changes)
    (table,) = tables(FAMILY, "models", model).values()
    return {label: load() for label, load in Data(config).of_model(table, tables(FAMILY, "tests", *tests)).items()}


def test_splits_are_what_they_are_called():
    data = splits("komplexnet", "test", "overlap", "noise")
    assert [len(data[split]["images"]) for split in ("train", "validation", "test")] == [32, 8, 16]
    assert not np.any(data["train"]["overlap"])
    assert np.all(np.any(data["overlap"]["overlap"], axis=(1, 2)))
    np.testing.assert_array_equal(data["noise"]["targets"], data["test"]["targets"])
    assert 0.1 < np.abs(data["noise"]["images"] - data["test"]["images"]).mean() < 0.3
    assert np.all(data["train"]["targets"].sum(1) == 2)


def test_splits_share_no_digit(monkeypatch):
    bases = []

    def record(base, **settings):
        bases.append({image.tobytes() for image in base.images})
        return generate(base, **settings)

    generate = multi_mnist.generate
    monkeypatch.setattr(multi_mnist, "generate", record)
    splits("komplexnet", "test", "overlap")
    train, validation, test, overlap = bases
    assert test == overlap
    assert len(train) + len(validation) + len(test) == 1797  # all of them, and no two alike
    assert not train & validation
    assert not (train | validation) & test


def test_scenes_of_other_models_and_sets():
    data = splits("real+digits3", "test", "digits2", "digits5")
    counts = {name: scenes["targets"].sum(1) for name, scenes in data.items()}
    expected = {"train": 3, "validation": 3, "test": 3, "digits2": 2, "digits5": 5}
    assert {name: set(count) for name, count in counts.items()} == {name: {n} for name, n in expected.items()}
    assert data["digits5"]["masks"].shape == (16, 32, 32, 5)


def test_pictures_lie_behind_all_scenes_of_a_model_that_is_trained_so():
    plain, pictured = splits("real", "test", "noise"), splits("real+background", "test", "noise")
    for name in ("train", "validation", "test"):
        np.testing.assert_array_equal(plain[name]["masks"], pictured[name]["masks"])
        assert np.all(plain[name]["images"] <= pictured[name]["images"])
        assert np.mean(plain[name]["images"] > 0) < 0.5 < 0.9 < np.mean(pictured[name]["images"] > 0)
    assert np.std(pictured["noise"]["images"] - pictured["test"]["images"]) > 0.1


def test_any_model_on_scenes_of_any_other():
    sets = (
        *("test", "noise", "noise+digits3", "overlap0.6", "overlap0.6+digits2"),
        *("test+background", "test+plain"),
    )
    plain, three, pictured = (splits(model, *sets) for model in ("real", "real+digits3", "real+background"))
    same = [
        (plain["noise+digits3"], three["noise"]),
        (plain["overlap0.6"], three["overlap0.6+digits2"]),
        (plain["test+background"], pictured["test"]),
        (plain["test"], pictured["test+plain"]),
    ]
    for first, second in same:
        for name, array in first.items():
            np.testing.assert_array_equal(array, second[name])
    assert not np.array_equal(plain["test"]["images"], plain["test+background"]["images"])


def test_levels_of_noise_and_overlap():
    data = splits("real", "test", "noise0", "noise", "noise0.4", "overlap0.1", "overlap0.9")
    spread = [np.abs(data[name]["images"] - data["test"]["images"]).mean() for name in ("noise0", "noise", "noise0.4")]
    assert spread[0] == 0 < 1.5 * spread[1] < spread[2]
    shares = [data[name]["overlap"].mean() for name in ("overlap0.1", "overlap0.9")]
    assert 0 < 3 * shares[0] < shares[1]


def test_videos_are_the_same_from_either_end():
    data = splits("real", "moving", "moving_backwards", "frames")
    forwards, backwards = data["moving"], data["moving_backwards"]
    assert forwards["images"].shape == (8, 29, 32, 32, 1)
    for name in ("images", "masks", "overlap"):
        np.testing.assert_array_equal(forwards[name][:, ::-1], backwards[name])
        np.testing.assert_array_equal(forwards[name], data["frames"][name])
    met = forwards["overlap"].sum((0, 2, 3))
    assert met[14] == met.max() > 0 == met[0] == met[-1]
    assert np.all(forwards["targets"].sum(1) == 2)


@pytest.mark.parametrize(("model", "channels"), [("real+background", 3), ("real", 1)])
def test_every_scene_has_the_colours_that_the_model_was_trained_on(model, channels):
    sets = ("test", "frames", "noise+plain", "digits3+background")
    data = splits(model, *sets, **{"data.colour": True})
    assert {scenes["images"].shape[-1] for scenes in data.values()} == {channels}


@pytest.mark.parametrize("model", ["komplexnet", "real+digits3", "real+background"])
def test_every_test_set_of_every_experiment(model):
    """For models trained on each kind of scenes; `test_specs` sees that "all" has all test sets."""
    config = config_of(FAMILY, "all,smoke", **{"data.test_examples": 4, "data.test_videos": 2})
    (table,) = tables(FAMILY, "models", model).values()
    tests = engine.by_label(engine.tables(config, "tests"))
    for label, load in Data(config).of_model(table, tests).items():
        scenes = load()
        shown = of_test(config, table, tests[label]) if label in tests else of_training(config, table)
        assert set(scenes["targets"].sum(1)) == {shown.num_digits}
        assert scenes["masks"].shape[-1] == shown.num_digits
        assert scenes["images"].shape[-1] == 1 and np.isfinite(scenes["images"]).all()
        assert (np.mean(scenes["images"] > 0) > 0.8) == shown.background or "noise" in label
