"""GASPnet's configs, tables and shorthand."""

import json
import re
from pathlib import Path

import pytest

from experiments import engine
from experiments.engine.run.migrate import migrate
from experiments.gaspnet import specs, task
from experiments.gaspnet.specs import FAMILY
from tests.experiments.families import CONFIGS, config_of, experiment_of, tables


def test_the_paper():
    """Of its text and its table of constants."""
    digits, overlay = config_of(FAMILY, "multi_mnist"), config_of(FAMILY, "cifar_fashion")
    for config in (digits, overlay):
        assert (config.seeds, config.train.epochs, config.train.batch_size) == (10, 25, 32)
        assert (config.train.learning_rate, config.train.weight_decay) == (5e-4, 1e-5)
        assert (config.model.num_steps, config.model.dense_gain, config.model.channels) == (6, 0.01, (26, 30, 32))
    constants = ("strength", "dim", "rate", "offset", "neighbour_gain", "start")
    assert [digits.model[name] for name in constants] == [1, 32, 1, -0.9, 5, "normal"]
    assert [overlay.model[name] for name in constants] == [0.8, 16, 4, -0.7, 1, "learned"]
    assert (digits.train.synchrony_weight, overlay.train.synchrony_weight) == (0.5, 10)
    assert {config.train.synchrony_normalization for config in (digits, overlay)} == {"half"}
    best = config_of(FAMILY, "cifar_mnist,best_of_five")
    assert [engine.of_model(best, name).seeds for name in best.models] == [10, 5]
    assert len(digits.tests) == 1 + 10 + 1 and digits.tests.groups.grouped == 100
    assert list(engine.tables(overlay, "tests")) == ["test", "groups", "item24", "item20", "item17", "item14"]


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("models.gaspnet.network", "gaspnets"),
        ("models.baseline.amplify", True),
        ("tests.gaussian0_15.std", -0.1),
        ("tests.gaussian0_15.std", None),
        ("tests.gaussian0_15.share", 0.1),
        ("tests.salt_pepper0_1.share", 1.5),
        ("data.source", "cifar10"),
        ("data.pictures", "mnist"),
        ("data.item_size", 33),
        ("data.test_examples", 0),
        ("model.channels", (26, 30)),
        ("model.strength", 1.5),
        ("model.rate", 0.0),
        ("model.dense_gain", -1.0),
        ("model.offset", float("nan")),
        ("model.start", "zero"),
        ("model.num_steps", 0),
        ("train.synchrony_weight", -1.0),
        ("train.weight_decay", float("inf")),
    ],
)
def test_values_out_of_range_are_named(entry, value):
    with pytest.raises(engine.UsageError, match=re.escape(f"config.{entry}={value!r}: expected ")):
        config_of(FAMILY, "smoke", **{entry: value})


@pytest.mark.parametrize(
    ("test", "scenes", "expected"),
    [
        ("item20", "digits", r"config.tests.item20.kind='item': expected one of test, gaussian, salt_pepper"),
        ("gaussian0.1", "overlay", r"config.tests.gaussian0_1.kind='gaussian': expected one of test, item"),
        ("item40", "overlay", r"config.tests.item40.size=40: expected 1 to 32"),
    ],
)
def test_test_sets_that_the_scenes_do_not_have(test, scenes, expected):
    with pytest.raises(engine.UsageError, match=expected):
        config_of(FAMILY, "smoke", tests=(test,), **{"data.scenes": scenes})


@pytest.mark.parametrize("text", ["gaspnet+nothing", "gaspnets", "gauss0.1", "gaspnet@3"])
def test_shorthand_that_is_no_model(text):
    with pytest.raises(engine.UsageError, match=re.escape(f"no {text!r}; there are: gaspnet, baseline")):
        specs.MODELS.parse(text, specs.MODEL)


@pytest.mark.parametrize("text", ["gauss0.1", "test0.1", "test+digits3", "test@3"])
def test_shorthand_that_is_no_test_set(text):
    with pytest.raises(engine.UsageError, match=re.escape(f"no {text!r}; there are: test, gaussian[LEVEL]")):
        specs.TESTS.parse(text, specs.TEST)


def test_changes_of_a_model():
    config = config_of(FAMILY, "multi_mnist")
    expected = {
        "gaspnet": (-0.9, 0.01, 5),
        "gaspnet+weaken+amplify": (0.9, 100, 5),
        "gaspnet+no_location": (0, 1, 1),
        "gaspnet+no_kappa_epsilon": (0, 1, 5),
        "gaspnet+no_modulation": (-0.9, 0.01, 5),
        "gaspnet+no_synchrony": (-0.9, 0.01, 5),
    }
    for label, model in tables(FAMILY, "models", *expected).items():
        network = task.gaspnet(config, model)
        assert (network.offset, network.dense_gain, network.neighbour_gain) == pytest.approx(expected[label])
        assert network.strength == (0 if label == "gaspnet+no_modulation" else 1)
        weight = task.make_task(config, model).loss.args[2]
        assert weight == (0 if label == "gaspnet+no_synchrony" else 0.5)
    (model,) = tables(FAMILY, "models", "gaspnet+node_maps+input_phases").values()
    network = task.gaspnet(config, model)
    assert network.dense_maps == "node" and network.input_phases


def test_the_tables_of_an_experiment_become_models_and_tests():
    for name in CONFIGS["gaspnet"].EXPERIMENTS:
        experiment = experiment_of(FAMILY, f"{name},smoke")
        for model in experiment.models.values():
            assert set(model.data) == {"train", "validation", *experiment.tests}
            network = task.BUILDERS[model.table["network"]](model.config, model.table)
            assert task.has_phases(network) == (model.label != "baseline")
            assert network.num_heads == (2 if name.startswith("cifar") else 1)
            levels = experiment.statistics.chance(model.label, "test")
            assert levels["accuracy"] == (0.1 if name.startswith("cifar") else 0.2)


def test_the_gain_of_old_readings():
    """`divide` is the reciprocal of a gain of 100, as the reading says; see its README."""
    stored = json.loads(Path("experiments/results/gaspnet/readings/config.json").read_text())
    config = engine.from_json(migrate(stored, FAMILY)["config"], FAMILY)
    gains = {
        engine.label(name, model): task.gaspnet(config, model).dense_gain
        for name, model in engine.tables(config, "models").items()
    }
    assert gains == pytest.approx({
        "gaspnet": 100, "gaspnet+weaken": 100, "gaspnet+divide": 0.01, "gaspnet+weaken+divide": 0.01, "baseline": 100,
    })  # fmt: skip
    assert [test["std"] for test in engine.tables(config, "tests").values()] == [None, 0.25, 0.45, 0.6, None, None]


def test_the_recipe_is_for_scenes_of_digits():
    get_config = CONFIGS["gaspnet"].get_config
    plain_first = lambda variant: get_config(variant).train.plain_first  # noqa: E731
    assert plain_first("digits") == plain_first("digits,ablations") == plain_first("multi_mnist,cpu,recipe") == 0.5
    assert plain_first("paper") == plain_first("cpu") == plain_first("cifar_mnist,digits") == 0
    with pytest.raises(ValueError, match="'cifar_fashion,recipe': expected no recipe with overlays"):
        get_config("cifar_fashion,recipe")
    with pytest.raises(engine.UsageError, match=r"config.train.plain_first=0.7 and phase_curriculum=0.4: .* at most 1"):
        config_of(FAMILY, "smoke", **{"train.plain_first": 0.7, "train.phase_curriculum": 0.4})
