"""KomplexNet's configs, tables and shorthand."""

import json
import re
from pathlib import Path

import pytest

from experiments import engine
from experiments.configs import komplexnet as configs
from experiments.engine.run.migrate import migrate
from experiments.komplexnet import specs
from experiments.komplexnet.specs import FAMILY
from tests.experiments.families import config_of, tables


def of_label(config, label):
    """The config of a model."""
    names = {engine.label(name, table): name for name, table in engine.tables(config, "models").items()}
    return specs.config_of(config, names[label])


def test_all_trains_and_tests_the_models_and_sets_of_every_experiment():
    whole = configs.EXPERIMENTS["all"]
    for experiment in configs.EXPERIMENTS.values():
        assert experiment["models"].items() <= whole["models"].items()
        assert experiment.get("tests", {}).items() <= whole["tests"].items()


def test_the_paper():
    """Of its text seeds, epochs, batch and the coupling of its first table; of its script scenes and learning rate."""
    config = config_of(FAMILY, "paper", models=("komplexnet", "vit", "real+background"))
    assert (config.seeds, config.train.epochs, config.train.num_examples, config.train.batch_size) == (
        50,
        30,
        60_000,
        128,
    )
    assert config.train.learning_rate == 1e-2
    coupling = {"channels": 8, "kernel_size": 13, "rate": 0.006, "epsilon": 0.2, "num_steps": 15}
    assert config.model.to_dict() == coupling | {"encoder_start": "default"}
    assert config.data.source == "mnist"
    assert (config.feedback.all.rate, *config.feedback.all.feedback_rates) == (0.009, 0.005, 0.004, 0.004)
    assert (config.feedback.l2.rate, config.feedback.l2.feedback_rates[0]) == (0.006, 0.003)
    assert (config.feedback.l3.rate, config.feedback.l3.feedback_rates[1]) == (0.005, 0.004)
    assert (config.feedback.l4.rate, config.feedback.l4.feedback_rates[2]) == (0.005, 0.004)
    assert config.feedback_kernel_size == 5
    last = [of_label(config, label).train for label in ("komplexnet", "vit", "real+background")]
    assert [(train.epochs, train.batch_size) for train in last] == [(30, 128), (50, 128), (30, 32)]


def test_a_model_may_be_trained_otherwise_than_the_others():
    config = config_of(FAMILY, "all,paper_cpu")
    rates = {label: of_label(config, label).train.learning_rate for label in ("real", "vit", "real+digits3")}
    assert rates == {"real": 6e-3, "vit": 1e-3, "real+digits3": 6e-3}
    assert of_label(config, "vit").train.epochs == config.train.epochs == 4


def test_overrides_of_a_table():
    config = configs.get_config("smoke")
    config.models.fast = {"network": "feedback", "model": {"rate": 0.5, "channels": 2}, "train": {"epochs": 7}}
    config = engine.complete(config, FAMILY)
    engine.check(config, FAMILY)
    own, other = specs.config_of(config, "fast"), specs.config_of(config, "komplexnet")
    assert (own.feedback.all.rate, own.model.channels, own.train.epochs) == (0.5, 2, 7)
    assert (other.feedback.all.rate, other.model.channels, other.train.epochs) == (0.009, 8, 2)
    network = FAMILY.experiment(config, engine.tables(config, "tests")).models["fast"].config
    assert specs.BUILDERS["feedback"](network).rate == 0.5


def test_tables_written_by_hand():
    config = configs.get_config("smoke")
    config.models = {"three_digits": {"network": "komplexnet", "num_digits": 3}}
    config.tests = {"noise": {"kind": "noise", "variance": 0.1, "num_steps": 60}}
    config = engine.complete(config, FAMILY)
    engine.check(config, FAMILY)
    experiment = FAMILY.experiment(config, engine.tables(config, "tests"))
    assert list(experiment.models) == ["three_digits"]
    data = experiment.models["three_digits"].data
    assert {data[split]()["masks"].shape[-1] for split in ("train", "noise")} == {3}
    assert experiment.statistics.section("three_digits", "noise") == "noise (trained on 3 digits)"
    config.models.three_digits.num_digit = 3
    with pytest.raises(
        engine.UsageError, match=r"there is no config.models.three_digits.num_digit; did .*num_digits\?"
    ):
        engine.complete(config, FAMILY)


def test_shares_of_the_curriculum_that_leave_no_training_from_random_phases():
    config_of(FAMILY, "smoke", **{"train.one_step": 0.7, "train.phase_curriculum": 0.3})
    with pytest.raises(engine.UsageError, match=r"config.train.one_step=0.7 and phase_curriculum=0.4: .* at most 1"):
        config_of(FAMILY, "smoke", **{"train.one_step": 0.7, "train.phase_curriculum": 0.4})


def test_sizes_that_the_vision_transformer_cannot_cut_into_patches():
    config_of(FAMILY, "smoke", models=("real",), **{"data.size": 30})
    with pytest.raises(engine.UsageError, match=r"config.data.size=30: expected a multiple of 4"):
        config_of(FAMILY, "smoke", models=("real", "vit"), **{"data.size": 30})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("komplexnet", {"network": "komplexnet"}),
        ("feedback_l3+digits3", {"network": "feedback_l3", "num_digits": 3}),
        ("real+background", {"network": "real", "background": True}),
        ("real_large+digits4+background", {"network": "real_large", "num_digits": 4, "background": True}),
    ],
)
def test_shorthand_of_models(text, expected):
    assert specs.MODELS.parse(text, specs.MODEL)[1] == expected | ({} if text.isidentifier() else {"label": text})


@pytest.mark.parametrize(
    "text", ["complexnet", "real+", "real+digits", "real+two", "+digits3", "real@3", "real+clouds"]
)
def test_shorthand_that_is_no_model(text):
    with pytest.raises(engine.UsageError, match=re.escape(f"no {text!r}; there are: komplexnet, ")):
        specs.MODELS.parse(text, specs.MODEL)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("test", {"kind": "test"}),
        ("digits9@60", {"kind": "test", "num_digits": 9, "num_steps": 60}),
        ("frames@3", {"kind": "frames", "num_steps": 3}),
        ("noise0.2", {"kind": "noise", "variance": 0.2}),
        ("noise0", {"kind": "noise", "variance": 0.0}),
        ("overlap.4+digits2+plain@7",
         {"kind": "overlap", "max_overlap": 0.4, "num_digits": 2, "background": False, "num_steps": 7}),
        ("digits5+background", {"kind": "test", "num_digits": 5, "background": True}),
    ],
)  # fmt: skip
def test_shorthand_of_test_sets(text, expected):
    assert specs.TESTS.parse(text, specs.TEST)[1] == expected | ({} if text.isidentifier() else {"label": text})


@pytest.mark.parametrize(
    "text",
    [
        "tests", "digits", "digits1", "digits10", "digits25", "digits2+digits3", "test+digits1", "test+clouds",
        "test+plain+background", "test0.1", "overlap0", "overlap1.5", "noise-1", "noise0.1.2", "test@", "test@0",
        "test@x", "moving@3", "moving_backwards@3", "moving+digits3", "frames+background", "",
    ],
)  # fmt: skip
def test_what_is_no_test_set_is_named(text):
    with pytest.raises(engine.UsageError) as error:
        config_of(FAMILY, "smoke", tests=(text,))
    assert repr(text) in str(error.value) or re.match(r"config\.tests\..*: expected ", str(error.value))


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("models.real.network", "reel"),
        ("models.real.num_digits", 10),
        ("models.real.train.epochs", 0),
        ("tests.test.kind", "tset"),
        ("tests.test.variance", 0.2),
        ("tests.noise.variance", -0.1),
        ("tests.overlap.max_overlap", 0.0),
        ("tests.overlap.max_overlap", 1.5),
        ("tests.noise.num_steps", 0),
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
        ("slice_size", 0),
        ("train_of.vit.epochs", 0),
    ],
)
def test_values_out_of_range_are_named(entry, value):
    with pytest.raises(engine.UsageError, match=re.escape(f"config.{entry}={value!r}: ") + ".*expected "):
        config_of(FAMILY, "smoke", **{entry: value})


def test_no_model_is_no_config():
    config = configs.get_config("smoke")
    config.models = {}
    with pytest.raises(engine.UsageError, match=r"config.models has no tables: expected at least one"):
        engine.check(engine.complete(config, FAMILY), FAMILY)


def test_only_models_that_were_trained_on_the_same_scenes_are_compared():
    config = config_of(FAMILY, "smoke")
    models = tables(FAMILY, "models", "real", "real+digits2", "real+digits3", "real+background")
    sets = tables(
        FAMILY, "tests", "noise", "digits3", "frames", "noise+digits3", "overlap+background", "digits5+plain", "test@60"
    )
    sections = {test: [specs.section(config, model, test, sets[test]) for model in models.values()] for test in sets}
    assert sections == {
        "noise": ["noise", "noise", "noise (trained on 3 digits)", "noise (trained on pictures)"],
        "digits3": ["digits3", "digits3", "digits3", "digits3 (trained on pictures)"],
        "frames": ["frames"] * 4,
        "noise+digits3": ["noise+digits3"] * 3 + ["noise+digits3 (trained on pictures)"],
        "overlap+background": ["overlap+background"] * 2
        + ["overlap+background (trained on 3 digits)", "overlap+background"],
        "digits5+plain": ["digits5+plain"] * 4,
        "test@60": ["test@60"] * 2 + ["test@60 (trained on 3 digits)", "test@60 (trained on pictures)"],
    }
    config.data.num_digits = 4
    chances = [
        specs.chance(config, model, test)["accuracy"]
        for model in list(models.values())[1:]
        for test in (None, sets["noise+digits3"], sets["frames"])
    ]
    assert chances == [0.2, 0.3, 0.2, 0.3, 0.3, 0.2, 0.4, 0.3, 0.2]


def test_old_names_are_understood():
    stored = json.loads(Path("experiments/results/komplexnet/generalization/config.json").read_text())
    old = stored["config"]
    old = old | {"models": ["feedback@3", "vit", "real@background"], "tests": ["test", "noise", "noise0.2", "moving"]}
    old["data"] = old["data"] | {"noise_variance": 0.3, "test_overlap": 0.5}
    config = engine.from_json(migrate({**stored, "config": old}, FAMILY)["config"], FAMILY)
    engine.check(config, FAMILY)
    models, tests = (engine.tables(config, section) for section in ("models", "tests"))
    assert [(m["network"], m["num_digits"], m["background"], m["label"]) for m in models.values()] == [
        ("feedback", 3, False, "feedback@3"),
        ("vit", None, False, None),
        ("real", None, True, "real@background"),
    ]
    assert [(t["kind"], t["variance"], t["max_overlap"], t["sampled"]) for t in tests.values()] == [
        ("test", 0.1, 0.25, 4), ("noise", 0.3, 0.25, 2), ("noise", 0.2, 0.25, 0), ("moving", 0.1, 0.5, 0),
    ]  # fmt: skip
    assert [engine.label(name, test) for name, test in tests.items()] == old["tests"]
    assert (config.train_of.vit.epochs, config.train_of.vit.learning_rate) == (None, 1e-3)
    assert config.slice_size is config.cpu_devices is config.data.dir is None
