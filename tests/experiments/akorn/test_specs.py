"""Configs, tables and shorthand of the oscillators on spheres."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import engine
from experiments.akorn import specs, task
from experiments.akorn.data import Data
from experiments.akorn.specs import FAMILY
from tests.experiments.families import CONFIGS, config_of, experiment_of, tables


def test_the_paper():
    """Published settings of the three experiments."""
    boards, shapes, pieces = (config_of(FAMILY, f"{name},paper") for name in ("sudoku", "shapes", "discovery"))
    sizes = [(100, 9000, 100), (128, 50_000, 64), (50, 60_000, 256)]
    for config, expected in zip((boards, shapes, pieces), sizes, strict=True):
        train = config.train
        assert (train.epochs, train.num_examples, train.batch_size, train.learning_rate) == (*expected, 1e-3)
    norms = [{name: engine.of_model(each, name).train.clip_norm for name in each.models} for each in (boards, shapes)]
    assert norms[0] == {"akorn": 1, "itrsa": 1, "transformer": 1}
    assert norms[1] == {"rotating_features": 0.1, "complex_autoencoder": None}
    assert pieces.train.clip_norm is None
    assert [round(each.train.warmup * each.train.epochs * (50_000 // 64), 6) for each in (boards, shapes)] == [0, 500]
    assert config_of(FAMILY, "paper") == boards
    averages = [
        (config.train.average_decay, config.train.average_every, config.train.average_start)
        for config in (boards, pieces)
    ]
    assert averages == [(0.995, 10, 100), (0.998, 10, 200)]
    assert engine.of_model(boards, "itrsa").train.learning_rate == 5e-4
    assert boards.data.givens == (31, 42) and boards.data.sparse_givens == (17, 34)


def test_the_published_number_of_parameters():
    """Of Sudoku; 41,472 of it are not used there, and not here."""
    experiment = experiment_of(FAMILY, "sudoku,paper")
    params = jax.eval_shape(experiment.models["akorn"].task().init, jax.random.key(0))
    count = sum(leaf.size for leaf in jax.tree.leaves(engine.averaged_params(params)))
    assert count == 2_982_412 - 41_472


@pytest.mark.parametrize(
    ("name", "model", "collections"),
    [
        ("sudoku", "akorn", ("live", "average")),
        ("shapes", "complex_autoencoder", ("params", "batch_stats")),
        ("discovery", "itrsa", ("live", "average")),
    ],
)
def test_the_optimizer_is_that_of_the_config(name, model, collections):
    """The rate follows the schedule, and the gradient is clipped where a norm is given."""
    moving, other = collections
    tree = {moving: {"w": jnp.array([3.0, 4.0])}, other: {"w": jnp.zeros(2)}}

    def change(gradient, **changes):
        changes = {f"train.{key}": value for key, value in changes.items()} | {
            "train.optimizer": "sgd",
            "train.warmup": 0.0,
        }
        config = config_of(FAMILY, f"{name},smoke", models=(model,), **changes)
        optimizer = task.make_task(config, engine.tables(config, "models")[model], {}).optimizer
        gradients = {moving: {"w": gradient}, other: {"w": jnp.zeros(2)}}
        return optimizer.update(gradients, optimizer.init(tree), tree, progress=0.5)[0][moving]["w"]

    gradient = jnp.array([0.3, -0.4])
    whole = change(gradient, clip_norm=10.0)
    np.testing.assert_allclose(whole, -1e-3 * gradient, rtol=1e-6)
    np.testing.assert_allclose(change(gradient, clip_norm=0.05), whole / 10, rtol=1e-5)
    np.testing.assert_allclose(change(gradient, clip_norm=10.0, schedule="linear"), whole / 2, rtol=1e-5)


@pytest.mark.parametrize(
    ("variant", "entry", "value"),
    [
        ("sudoku", "models.akorn.network", "rotating_features"),
        ("shapes", "models.rotating_features.network", "akorn"),
        ("sudoku", "model.channels", 9),
        ("sudoku", "model.heads", 3),
        ("sudoku", "model.components", 1),
        ("sudoku", "data.givens", (20, 30)),
        ("sudoku", "train.average_decay", 1.0),
        ("sudoku", "tests.test.tiles", 2),
        ("discovery", "tests.test.votes", 2),
        ("discovery", "tests.test.steps", 4),
        ("discovery", "tests.test.tiles", 8),
        ("discovery", "data.square", 9),
        ("discovery", "data.validation_examples", 6),
        ("shapes", "tests.test.kind", "sparse"),
        ("shapes", "data.num_shapes", 11),
    ],
)
def test_values_that_do_not_suit_are_named(variant, entry, value):
    named = "model.channels" if entry == "model.heads" else entry
    shown = "8" if entry == "model.heads" else re.escape(repr(value))
    with pytest.raises(engine.UsageError, match=rf"config\.{re.escape(named)}={shown}: expected "):
        config_of(FAMILY, f"{variant},smoke", **{entry: value})


def test_shorthand():
    expected = {
        "sparse+votes100+last@128": {"kind": "sparse", "votes": 100, "by": "last", "steps": 128},
        "test+tiles4": {"kind": "test", "tiles": 4},
    }
    for label, table in tables(FAMILY, "tests", *expected).items():
        assert {key: table[key] for key in expected[label]} == expected[label]
    (model,) = tables(FAMILY, "models", "akorn+conv").values()
    assert (model["network"], model["coupling"]) == ("akorn", "conv")


def test_models_without_noise_do_not_vote_and_those_of_one_step_take_no_more():
    experiment = experiment_of(FAMILY, "sudoku,paper")
    measured = {name: set(model.data) - {"train", "validation"} for name, model in experiment.models.items()}
    assert measured["akorn"] == set(experiment.tests) and len(experiment.tests) == 11
    assert measured["itrsa"] == {label for label in experiment.tests if "votes" not in label}
    assert measured["transformer"] == {"test", "sparse"}


@pytest.mark.parametrize("name", CONFIGS["akorn"].EXPERIMENTS)
def test_every_network_is_of_one_kind_of_data(name):
    experiment = experiment_of(FAMILY, f"{name},smoke")
    known = task.builders(experiment.config)
    assert {model.table["network"] for model in experiment.models.values()} <= set(known) <= set(specs.NETWORKS)
    splits = Data(experiment.config).of_model(next(iter(experiment.models.values())).table, {})
    train, validation = splits["train"](), splits["validation"]()
    assert engine.num_examples(train) == 8 and engine.num_examples(validation) == 4
    first = next(iter(train))
    assert not any(np.array_equal(a, b) for a in train[first] for b in validation[first])
    if name != "sudoku":
        assert train["images"].shape == (8, 32, 32, 1 if name == "shapes" else 3)
        assert len(np.unique(train["labels"][0])) >= 3
