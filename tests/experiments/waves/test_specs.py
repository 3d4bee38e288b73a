"""The waves' configs, tables and shorthand, and the published scores of a table."""

import json
import re
from pathlib import Path

import pytest

from experiments import engine
from experiments.engine.run.migrate import migrate
from experiments.waves import specs, task
from experiments.waves.figures import published, tables
from experiments.waves.specs import FAMILY
from tests.experiments import families
from tests.experiments.families import config_of, experiment_of


def test_the_paper():
    """Of its appendix: optimizer's settings, seeds, numbers of pictures and of steps."""
    for experiment, sizes in {
        "mnist": (10, 51_000, 9000, 10_000, 100),
        "tetrominoes": (10, 10_000, 1000, 1000, 100),
        "multi_mnist": (12, 10_000, 1000, 1000, 100),
        "polygons": (5, 10_000, 1000, 1000, 500),
    }.items():
        config = config_of(FAMILY, experiment)
        d, t = config.data, config.train
        assert (config.seeds, t.num_examples, d.validation_examples, d.test_examples, config.model.num_steps) == sizes
        assert (t.epochs, t.batch_size, t.learning_rate) == (300, 64, 1e-3)
        models = engine.tables(config, "models")
        known = [label for label, model in models.items() if published.foreground(experiment, model)]
        assert known == (list(models) if experiment != "polygons" else [])
        assert len(known) == len(published.FOREGROUND.get(experiment, {}))


def test_published_scores_are_those_of_the_table_whatever_its_label():
    models = families.tables(FAMILY, "models", "nwm_linear", "cnn_8", "unet_3")
    assert published.foreground("mnist", models["nwm_linear"])[0] == (0.90, 0.02)
    assert published.foreground("tetrominoes", models["cnn_8"])[0] == (0.74, 0.26)
    assert published.foreground("multi_mnist", models["unet_3"])[0] == (0.90, 0.10)
    assert published.foreground("mnist", models["unet_3"]) is published.foreground("polygons", models["cnn_8"]) is None


@pytest.mark.parametrize(
    ("experiment", "name", "number"),
    [
        ("mnist", "nwm_linear", 176_545),
        ("mnist", "nwm_fft", 171_445),
        ("mnist", "nwm_max", 145_845),
        ("mnist", "lstm_linear", 151_467),
        ("mnist", "cnn_32", 230_099),
        ("tetrominoes", "nwm_linear", 176_124),
        ("tetrominoes", "lstm_linear", 151_046),
        ("tetrominoes", "cnn_2", 159_502),
        ("multi_mnist", "nwm_linear", 54_855),
        ("multi_mnist", "unet_5", 190_456),
    ],
)
def test_numbers_of_parameters(experiment, name, number):
    (model,) = families.tables(FAMILY, "models", name).values()
    assert tables.num_parameters(config_of(FAMILY, experiment), model) == number


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lstm_mean", {"network": "lstm", "readout": "mean"}),
        ("unet_3", {"network": "unet", "width": 3}),
        ("cnn_16", {"network": "cnn", "depth": 16}),
        ("cnn16", {"network": "cnn", "depth": 16}),
    ],
)
def test_shorthand_of_models(text, expected):
    assert specs.MODELS.parse(text, specs.MODEL)[1] == expected


@pytest.mark.parametrize("text", ["nwm", "nwm_median", "unet_fft", "nwm_linear_2", "cnn_8@3", "cnn_8+digits3"])
def test_shorthand_that_is_no_model(text):
    with pytest.raises(engine.UsageError, match=re.escape(f"no {text!r}; there are: nwm_")):
        specs.MODELS.parse(text, specs.MODEL)


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("models.cnn_2.network", "cnns"),
        ("models.cnn_2.depth", 0),
        ("models.cnn_2.depth", None),
        ("models.cnn_2.width", 3),
        ("models.nwm_linear.readout", "median"),
        ("models.nwm_linear.readout", None),
        ("data.set", "tetrominos"),
        ("data.source", "cifar10"),
        ("data.size", 11),
        ("data.num_objects", (2, 1)),
        ("data.square", 2),
        ("data.radius", (15, 30)),
        ("data.watched", -1),
        ("data.test_examples", 0),
        ("model.channels", 0),
        ("model.hidden", (4, 0)),
        ("model.dt", float("nan")),
        ("model.omega_start", "zero"),
        ("model.gradient", "none"),
    ],
)
def test_values_out_of_range_are_named(entry, value):
    with pytest.raises(engine.UsageError, match=re.escape(f"config.{entry}={value!r}: expected ")):
        config_of(FAMILY, "smoke", **{entry: value})


def test_a_unet_needs_room():
    with pytest.raises(engine.UsageError, match=r"config.data.size=12: expected at least 16, for models.unet_2"):
        config_of(FAMILY, "smoke", models=("unet_2",), **{"data.size": 12})


def test_the_tables_of_an_experiment_become_models_and_tests():
    for name in families.CONFIGS["waves"].EXPERIMENTS:
        experiment = experiment_of(FAMILY, f"{name},smoke")
        for model in experiment.models.values():
            assert set(model.data) == {"train", "validation", "test"}
            recurrent = task.is_recurrent(task.make_network(model.config, model.table))
            assert recurrent == (model.table["readout"] is not None)
        levels = experiment.statistics.chance(model.label, "test")
        assert levels["accuracy"] == pytest.approx(1 / task.num_classes(experiment.config))


def test_an_old_config_has_tables():
    stored = json.loads(Path("experiments/results/waves/tetrominoes/config.json").read_text())
    config = engine.from_json(migrate(stored, FAMILY)["config"], FAMILY)
    engine.check(config, FAMILY)
    models = engine.tables(config, "models")
    assert list(models) == ["nwm_linear", "nwm_fft", "nwm_last", "lstm_linear", "cnn_2", "cnn_8"]
    assert (models["lstm_linear"]["readout"], models["cnn_8"]["depth"]) == ("linear", 8)
    assert [(name, test["kind"]) for name, test in engine.tables(config, "tests").items()] == [("test", "test")]
