"""The pictures of the waves' splits."""

import itertools

import numpy as np
import pytest

from data_gen import segmentation
from experiments.waves.data import SETS, Data
from experiments.waves.specs import FAMILY
from tests.experiments.families import CONFIGS, config_of, tables


def splits(variant, **changes):
    """Split -> function that returns its arrays."""
    (model,) = tables(FAMILY, "models", "nwm_fft").values()
    return Data(config_of(FAMILY, variant, **changes)).of_model(model, tables(FAMILY, "tests", "test"))


@pytest.mark.parametrize("experiment", CONFIGS["waves"].EXPERIMENTS)
def test_splits(experiment):
    """No picture is in two splits. Of hundreds of small black and white ones some would be, by chance; not of these."""
    arrays = {name: make() for name, make in splits(f"{experiment},smoke").items()}
    shown = SETS[experiment]
    assert {name: len(split["images"]) for name, split in arrays.items()} == {"train": 8, "validation": 4, "test": 6}
    for split in arrays.values():
        assert split["images"].shape[1:] == (16, 16, shown.colours) and split["images"].dtype == np.float32
        assert split["labels"].shape[1:] == (16, 16) and 0 < split["labels"].max() < shown.num_classes
    assert arrays["validation"]["watched"].tolist() == [True] * 3 + [False]
    pictures = [{image.tobytes() for image in split["images"]} for split in arrays.values()]
    assert all(first.isdisjoint(second) for first, second in itertools.combinations(pictures, 2))


def test_splits_share_no_digit(monkeypatch):
    bases = []
    whole = segmentation.multi_mnist

    def record(base, **settings):
        bases.append({image.tobytes() for image in base.images})
        return whole(base, **settings)

    monkeypatch.setattr(segmentation, "multi_mnist", record)
    for make in splits("multi_mnist,smoke").values():
        make()
    train, validation, test = bases
    assert len(train) + len(validation) + len(test) == 1797
    assert not train & validation and not (train | validation) & test


def test_too_many_digits_asked_for():
    with pytest.raises(ValueError, match=r"split 'validation' of 'digits' has \d+, not 1000"):
        splits("mnist,smoke", **{"data.validation_examples": 1000})["validation"]()
