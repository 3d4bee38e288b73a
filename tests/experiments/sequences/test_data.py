"""The sequences of every split."""

import itertools

import numpy as np
import pytest

from data_gen import sources
from experiments.sequences.data import Data, order
from experiments.sequences.specs import FAMILY
from tests.experiments.families import config_of, tables


def splits(variant, **changes):
    (model,) = tables(FAMILY, "models", "gru").values()
    made = Data(config_of(FAMILY, variant, **changes)).of_model(model, tables(FAMILY, "tests", "test"))
    return {name: make() for name, make in made.items()}


def test_pixels_are_read_in_one_order():
    rows, permuted = (splits(f"{name},paper") for name in ("digits", "permuted_digits"))
    sizes = {name: arrays["inputs"].shape for name, arrays in rows.items()}
    assert sizes == {"train": (1226, 64, 1), "validation": (216, 64, 1), "test": (355, 64, 1)}
    places = order(0, 64)
    assert sorted(places) == list(range(64)) and (places != np.arange(64)).sum() > 50
    for name, arrays in rows.items():
        assert arrays["inputs"].min() == 0 and arrays["inputs"].max() == 1
        np.testing.assert_array_equal(arrays["inputs"][:, places], permuted[name]["inputs"])
        np.testing.assert_array_equal(arrays["labels"], permuted[name]["labels"])
    test = sources.load("scans", "test")
    np.testing.assert_allclose(rows["test"]["inputs"][..., 0] * 255, test.images.reshape(355, 64), atol=1e-4)
    train = {x.tobytes() for x in sources.load("scans", "train").images}
    levels = [{np.rint(255 * x).astype(np.uint8).tobytes() for x in rows[name]["inputs"]} for name in rows]
    assert levels[0] | levels[1] == train and levels[0].isdisjoint(levels[1])


def test_too_many_pictures_asked_for():
    with pytest.raises(ValueError, match="split 'train' of 'scans' has 1438, not 1440"):
        splits("digits,smoke", **{"train.num_examples": 1440})


@pytest.mark.parametrize("name", ["copy", "adding"])
def test_drawn_sequences_are_of_one_split(name):
    arrays, again = splits(f"{name},smoke"), splits(f"{name},smoke", **{"data.test_examples": 6})
    assert arrays["train"]["number"].tolist() == list(range(8))
    drawn = [{x.tobytes() for x in arrays[split]["inputs"]} for split in ("validation", "test")]
    assert [len(each) for each in drawn] == [4, 6]
    assert all(first.isdisjoint(second) for first, second in itertools.combinations(drawn, 2))
    np.testing.assert_array_equal(arrays["test"]["inputs"], again["test"]["inputs"])
