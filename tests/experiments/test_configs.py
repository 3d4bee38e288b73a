"""Every config of KomplexNet builds, is checked and locked; names of models and test sets."""

import re

import pytest

from experiments.configs import komplexnet as configs
from experiments.engine.run import config as engine_config
from experiments.komplexnet import names, settings


@pytest.mark.parametrize("scale", configs.SCALES)
@pytest.mark.parametrize("experiment", configs.EXPERIMENTS)
def test_variants(experiment, scale):
    config = configs.get_config(f"{experiment},{scale}").lock()
    engine_config.check(config)
    settings.validate(config)
    assert config == configs.get_config(f"{scale},{experiment}").lock()
    assert len(set(config.models)) == len(config.models)
    assert len(set(config.tests)) == len(config.tests)
    assert engine_config.from_json(engine_config.to_json(config)) == config
    with pytest.raises(AttributeError):
        config.train.epoch = 3


def test_all_trains_and_tests_what_every_experiment_does():
    whole = configs.get_config("all")
    for experiment in configs.EXPERIMENTS:
        config = configs.get_config(experiment)
        assert set(config.models) <= set(whole.models)
        assert set(config.tests) <= set(whole.tests)


def test_the_paper():
    """Of its text: seeds, epochs, scenes, batch and the coupling of its first table."""
    config = configs.get_config("paper")
    assert (config.seeds, config.train.epochs, config.train.num_examples, config.train.batch_size) == (
        50,
        30,
        60_000,
        128,
    )
    assert config.model.to_dict() == {"channels": 8, "kernel_size": 13, "rate": 0.006, "epsilon": 0.2, "num_steps": 15}
    assert config.data.source == "mnist"
    assert (config.feedback.all.rate, *config.feedback.all.feedback_rates) == (0.009, 0.005, 0.004, 0.004)
    assert (config.feedback.l2.rate, config.feedback.l2.feedback_rates[0]) == (0.006, 0.003)
    assert (config.feedback.l3.rate, config.feedback.l3.feedback_rates[1]) == (0.005, 0.004)
    assert (config.feedback.l4.rate, config.feedback.l4.feedback_rates[2]) == (0.005, 0.004)
    assert config.feedback_kernel_size == 5
    lasts = {name: settings.of_model(config, name).train for name in ("komplexnet", "vit", "real@background")}
    assert [(train.epochs, train.batch_size) for train in lasts.values()] == [(30, 128), (50, 128), (30, 32)]


def test_a_model_may_be_trained_otherwise_than_the_others():
    config = configs.get_config("all,paper_cpu").lock()
    rates = {name: settings.of_model(config, name).train.learning_rate for name in ("real", "vit", "real@3")}
    assert rates == {"real": 6e-3, "vit": 1e-3, "real@3": 6e-3}
    assert settings.of_model(config, "vit").train.epochs == config.train.epochs == 4
    older = config.copy_and_resolve_references()
    older.unlock()
    del older.train_of
    assert settings.of_model(older, "vit").train.to_dict() == config.train.to_dict()
    settings.validate(older)


def test_sizes_that_the_vision_transformer_cannot_cut_into_patches():
    config = configs.get_config("larger_baselines")
    config.data.size = 30
    with pytest.raises(ValueError, match=r"config.data.size=30: expected a multiple of 4"):
        settings.validate(config)
    config.models = ("real",)
    settings.validate(config)


def test_an_unknown_variant_names_the_known_ones():
    with pytest.raises(ValueError, match=r"'papre'.*paper"):
        configs.get_config("cifar,papre")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("komplexnet", ("komplexnet", None, False)),
        ("feedback_l3@3", ("feedback_l3", 3, False)),
        ("real@background", ("real", None, True)),
    ],
)
def test_names_of_models(name, expected):
    assert names.model(name) == expected


@pytest.mark.parametrize("name", ["complexnet", "real@", "real@1", "real@10", "real@two", "@3", "real@3@3"])
def test_no_names_of_models(name):
    with pytest.raises(ValueError, match=re.escape(f"no model {name!r}: expected one of komplexnet, ")):
        names.model(name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("test", ("test", None, None, None, None)),
        ("digits9@60", ("test", None, 9, None, 60)),
        ("frames@3", ("frames", None, None, None, 3)),
        ("noise0.2", ("noise", 0.2, None, None, None)),
        ("noise0", ("noise", 0.0, None, None, None)),
        ("overlap.4+digits2+plain@7", ("overlap", 0.4, 2, False, 7)),
        ("digits5+background", ("test", None, 5, True, None)),
    ],
)
def test_names_of_test_sets(name, expected):
    assert names.test_set(name) == expected


@pytest.mark.parametrize(
    "name",
    [
        "tests", "digits", "digits1", "digits10", "digits25", "digits2+digits3", "test+digits1", "test+clouds",
        "test+plain+digits3", "test0.1", "overlap0", "overlap1.5", "noise-1", "noise0.1.2", "test@", "test@0", "test@x",
        "moving@3", "moving_backwards@3", "moving+digits3", "frames+background", "",
    ],
)  # fmt: skip
def test_no_names_of_test_sets(name):
    with pytest.raises(ValueError, match=re.escape(f"no test set {name!r}: expected one of test, ")):
        names.test_set(name)


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("models", ()),
        ("models", ("real", "reel")),
        ("tests", ("test", "digits10")),
        ("data.background", "clouds"),
        ("data.test_videos", 0),
        ("feedback_kernel_size", 2),
        ("feedback.all.rate", -0.1),
        ("feedback.l2.feedback_rates", (0.1, 0.1)),
        ("feedback.l4.feedback_rates", (0.1, 0.1, float("nan"))),
        ("data.source", "cifar10"),
        ("data.source", "nist"),
        ("data.num_digits", 0),
        ("data.num_digits", 1),
        ("data.num_digits", 11),
        ("data.max_overlap", -0.1),
        ("data.max_overlap", 1.5),
        ("data.size", 31),
        ("data.size", 0),
        ("data.test_overlap", 0.0),
        ("data.test_overlap", 1.5),
        ("data.noise_variance", -0.1),
        ("data.test_examples", 0),
        ("model.channels", 0),
        ("model.kernel_size", 4),
        ("model.kernel_size", -3),
        ("model.rate", -0.006),
        ("model.rate", float("nan")),
        ("model.rate", float("inf")),
        ("model.epsilon", -0.2),
        ("model.num_steps", 0),
        ("train.synchrony_weight", -1.0),
        ("train.clip_norm", 0.0),
        ("train.num_examples", 4),
        ("slice_size", -1),
    ],
)
def test_values_out_of_range_are_named(entry, value):
    config = configs.get_config("smoke")
    config.update_from_flattened_dict({entry: value})
    with pytest.raises(ValueError, match=re.escape(f"config.{entry}={value!r}: ") + ".*expected "):
        settings.validate(config)
