"""Variants as diffs, tables, and the config of one model."""

import pytest
from ml_collections import ConfigDict

from experiments import engine
from experiments.engine.process.errors import UsageError
from tests.experiments.engine import toy, toy_config


def complete():
    return engine.complete(toy_config.get_config(), toy.FAMILY)


def test_a_variant_replaces_all_tables_and_changes_other_entries():
    variants = {
        "one": {"models": {"z": {"network": "deep"}, "a": {"network": "plain"}}, "train.epochs": 9},
        "two": {"train.epochs": 4},
    }
    config = engine.variant(toy_config.get_config(), variants, "two,one")
    assert list(engine.tables(config, "models")) == ["z", "a"], "in the order in which they were written"
    assert config.train.epochs == 4, "the later variant holds"
    with pytest.raises(ValueError, match=r"no variant 'three'; there are: one, two"):
        engine.variant(config, variants, "three")
    with pytest.raises(ValueError, match=r"no entry to change: config\.trian\.epochs; did you mean .*train\.epochs"):
        engine.variant(config, {"x": {"trian.epochs": 1}}, "x")


def test_completing_twice_changes_nothing_and_keeps_the_order():
    config = toy_config.get_config()
    config.models = {"z": {"network": "deep", "train": {"epochs": 9}}, "a": {"network": "plain"}}
    config.lock()
    once = engine.to_json(engine.complete(config, toy.FAMILY))
    assert config.is_locked and list(once["models"]) == ["z", "a"]
    train = dict.fromkeys(engine.base_config().train.to_dict()) | {"epochs": 9}
    assert once["models"]["z"] == {"label": None, "seeds": None, "network": "deep", "train": train}
    assert engine.to_json(engine.complete(config, toy.FAMILY)) == once


def test_the_config_of_a_model_has_the_overrides_of_its_table_last():
    config = complete()
    config.train_of = ConfigDict(
        {"deep": {"epochs": 5, "batch_size": 4, "learning_rate": None}, "other": {"epochs": 6}}
    )
    config.models.deep.train.epochs = 7
    deep, plain = engine.of_model(config, "deep", ("deep", "absent")), engine.of_model(config, "plain")
    assert (deep.train.epochs, deep.train.batch_size, deep.train.learning_rate) == (7, 4, 0.02)
    assert (plain.train.epochs, plain.train.batch_size) == (3, 8)
    assert config.train.epochs == 3


def test_tables_that_are_none():
    config = complete()
    with config.ignore_type():
        config.tests = ("test",)
    with pytest.raises(UsageError, match=r"config\.tests=\('test',\): expected tables"):
        engine.tables(config, "tests")
