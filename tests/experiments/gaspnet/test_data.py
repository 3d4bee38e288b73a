"""The scenes of GASPnet's splits and test sets."""

import itertools

import numpy as np
import pytest

from data_gen import multi_mnist, overlay
from experiments.gaspnet.data import Data
from experiments.gaspnet.specs import FAMILY
from tests.experiments.families import config_of, tables


def splits(variant, *tests, **changes):
    """Label -> function that returns its arrays."""
    (model,) = tables(FAMILY, "models", "gaspnet").values()
    return Data(config_of(FAMILY, variant, **changes)).of_model(model, tables(FAMILY, "tests", *tests))


def test_splits_of_digits():
    noisy = ("gaussian0.15", "gaussian0.6", "salt_pepper0.01", "salt_pepper0.2")
    arrays = {name: make() for name, make in splits("smoke", "test", *noisy).items()}
    assert [len(arrays[name]["images"]) for name in ("train", "validation", "test")] == [16, 8, 12]
    for split in arrays.values():
        assert split["masks"].shape[1:] == (16, 16, 3)
        assert split["masks"].any(-1).all() and not (split["masks"][..., 0] & split["masks"][..., 1:].any(-1)).any()
        assert (split["targets"].sum(-1) == 2).all()
    for name in noisy:
        assert np.array_equal(arrays[name]["masks"], arrays["test"]["masks"])
        assert not np.array_equal(arrays[name]["images"], arrays["test"]["images"])


def test_splits_of_overlays():
    sets = splits("cifar_mnist,digits", "test", "item14", **{"data.test_examples": 6})
    large, small = sets["test"](), sets["item14"]()
    assert large["images"].shape == (6, 32, 32, 3) and large["masks"].shape == (6, 16, 16, 2)
    assert (large["masks"][..., 0] != large["masks"][..., 1]).all()
    assert np.array_equal(large["targets"], small["targets"]) and large["targets"].shape == (6, 2)
    assert small["masks"][..., 1].sum() < 0.5 * large["masks"][..., 1].sum()


@pytest.mark.parametrize(
    ("experiment", "made_by", "tests", "sizes"),
    [
        ("multi_mnist", multi_mnist, ("test", "gaussian0.1"), [1797]),
        ("cifar_mnist", overlay, ("test", "item14"), [1797, 5000]),
    ],
)
def test_splits_share_no_digit_and_no_picture(experiment, made_by, tests, sizes, monkeypatch):
    bases, generate = [], made_by.generate

    def record(*given, **settings):
        bases.append([{image.tobytes() for image in base.images} for base in given])
        return generate(*given, **settings)

    monkeypatch.setattr(made_by, "generate", record)
    scenes = [
        {image.tobytes() for image in make()["images"]} for make in splits(f"{experiment},smoke", *tests).values()
    ]
    assert all(first.isdisjoint(second) for first, second in itertools.combinations(scenes, 2))
    for size, (train, validation, test, *others) in zip(sizes, zip(*bases, strict=True), strict=True):
        assert len(train) + len(validation) + len(test) == size  # all of them, and no two alike
        assert not train & validation and not (train | validation) & test
        assert all(other == test for other in others)
