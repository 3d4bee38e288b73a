"""KomplexNet's experiments as data: the entries of a config, the tables of models and test sets, their shorthand."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from ml_collections import ConfigDict

from data_gen import sources
from experiments import engine, groups
from experiments.engine import Check, Entry, Table, at_least, between, one_of
from experiments.komplexnet import figures
from experiments.komplexnet.data import CLASSES, STILL, VIDEOS, Data, of_test, of_training
from experiments.komplexnet.task import BUILDERS, FEEDBACK, make_task
from oscnets.models.komplexnet import LAYERS

_EVEN = Check(lambda size: size >= 2 and size % 2 == 0, "an even size, for a stride of 2")
_SHARE = Check(lambda share: 0 < share <= 1, "a share within (0, 1]")
_RATES = engine.each(engine.NON_NEGATIVE, len(LAYERS))


def _feedback(layers: str, rate: float, *rates: float) -> engine.Entries:
    return {
        "rate": Entry(rate, f"model.rate with feedback from {layers}", engine.NON_NEGATIVE),
        "feedback_rates": Entry(rates, f"rates of l2, l3 and l4 with feedback from {layers}, radians per step", _RATES),
    }


ENTRIES: engine.Entries = {
    "data": {
        "source": Entry("mnist", "data set of the digits", one_of(*sources.NAMES[:3])),
        "num_digits": Entry(2, "digits in a scene", between(2, 9)),
        "size": Entry(32, "side of a scene, pixels", _EVEN),
        "max_overlap": Entry(
            0.0,
            "largest overlap of two digits, as a share of lit pixels, except in tests of the kind overlap",
            between(0, 1),
        ),
        "background": Entry("cifar10", "data set of the pictures behind digits", one_of("cifar10", "textures")),
        "colour": Entry(False, "whether scenes with pictures behind the digits are in colour"),
        "test_examples": Entry(10_000, "scenes of a test set", at_least(1)),
        "test_videos": Entry(1000, "videos of a test set", at_least(1)),
    },
    # The first table of the paper.
    "model": {
        "channels": Entry(8, "channels of the first layer: oscillators per pixel", at_least(1)),
        "kernel_size": Entry(13, "side of the coupling kernel, pixels", engine.ODD),
        "rate": Entry(0.006, "rate of the phase dynamics, radians per step", engine.NON_NEGATIVE),
        "epsilon": Entry(0.2, "strength of the desynchronizing term", engine.NON_NEGATIVE),
        "num_steps": Entry(15, "steps of the dynamics", at_least(1)),
        "encoder_start": Entry(
            "default", "start of the first convolution: random, or Gabor", one_of("default", "gabor")
        ),
    },
    "feedback_kernel_size": Entry(5, "side of the feedback kernel from l2, pixels", engine.ODD),
    "feedback": {
        "all": _feedback("all layers", 0.009, 0.005, 0.004, 0.004),
        "l2": _feedback("l2", 0.006, 0.003, 0.0, 0.0),
        "l3": _feedback("l3", 0.005, 0.0, 0.004, 0.0),
        "l4": _feedback("l4", 0.005, 0.0, 0.0, 0.004),
    },
    "train": {
        "num_examples": Entry(60_000, "scenes; a fifth of them are for validation", at_least(5)),
        "clip_norm": Entry(2.0, "largest norm of the gradient", engine.POSITIVE),
        "synchrony_weight": Entry(1.0, "weight of the synchrony loss", engine.NON_NEGATIVE),
        "output_gain": Entry(
            1.0, "factor of the initial weights of the output layer; none in the network vit", engine.POSITIVE
        ),
        "one_step": Entry(
            0.0,
            "share of the updates, the first, that take one step of the dynamics from the phases of the masks",
            between(0, 1),
        ),
        "phase_curriculum": Entry(
            0.0,
            "share of the updates, after those, in which the initial phases go from those of the masks to random ones",
            between(0, 1),
        ),
        "loss_steps": Entry(
            int, "last steps of the dynamics that the classification loss is averaged over; not set: all", at_least(1)
        ),
    },
    # What some models change in every experiment.
    "train_of": {
        "vit": {
            "epochs": Entry(int, "train.epochs of the networks vit and vit_script", at_least(1)),
            "learning_rate": Entry(float, "train.learning_rate of the networks vit and vit_script", engine.POSITIVE),
        },
        "background": {"batch_size": Entry(int, "train.batch_size of models with pictures in training", at_least(1))},
    },
}

MODEL: engine.Entries = {
    "network": Entry(str, "the network", one_of(*BUILDERS), required=True),
    "num_digits": Entry(int, "digits in a training scene; not set: data.num_digits", between(2, 9)),
    "background": Entry(False, "whether pictures lie behind the digits in training"),
}

TEST: engine.Entries = {
    "kind": Entry(
        str,
        "test: scenes like those of the training; overlap: digits overlap; noise: Gaussian noise is added; moving, "
        "moving_backwards: videos, one step of the dynamics per frame; frames: single frames of the videos",
        one_of(*STILL, *VIDEOS),
        required=True,
    ),
    "num_digits": Entry(int, "digits in a scene; not set: as in the model's training", between(2, 9)),
    "background": Entry(bool, "whether pictures lie behind the digits; not set: as in the model's training"),
    "max_overlap": Entry(
        0.25, "largest overlap in scenes of the kind overlap and in videos, share of lit pixels", _SHARE
    ),
    "variance": Entry(0.1, "variance of the noise of the kind noise", engine.NON_NEGATIVE),
    "num_steps": Entry(int, "steps of the dynamics; not set: as in the training", at_least(1)),
    "sampled": Entry(0, "scenes saved for the pictures", at_least(0)),
    "grouped": groups.GROUPED,
}

MODELS = engine.Shorthand(
    {network: {"network": network} for network in BUILDERS},
    changes={"digits": "num_digits", "background": {"background": True}},
)
TESTS = engine.Shorthand(
    {kind: {"kind": kind} for kind in STILL}
    | {f"digits{count}": {"kind": "test", "num_digits": count} for count in range(2, 10)}
    | {kind: {"kind": kind} for kind in VIDEOS},
    level={"overlap": "max_overlap", "noise": "variance"},
    changes={
        "digits": "num_digits",
        "background": {"background": True},
        "plain": {"background": False},
        "grouped": "grouped",
    },
    steps="num_steps",
)


def check(config: ConfigDict) -> None:
    """Raise ValueError, with the entry, its value and what was expected, where entries do not suit each other."""
    size = config.data.size
    if size % 4 and any(model.network.startswith("vit") for model in config.models.values()):
        raise ValueError(f"config.data.size={size}: expected a multiple of 4, the patches of the network vit")
    first, noisy = config.train.one_step, config.train.phase_curriculum
    if first + noisy > 1:
        raise ValueError(f"config.train.one_step={first} and phase_curriculum={noisy}: expected a sum of at most 1")
    check_tests(config.tests)


def check_tests(tests: Mapping[str, Table]) -> None:
    """The same for tables of test sets, by name."""
    for name, test in tests.items():
        kind, video = test["kind"], test["kind"] in VIDEOS
        suits = {
            "num_digits": not video,
            "background": not video,
            "num_steps": kind not in ("moving", "moving_backwards"),
            "max_overlap": video or kind == "overlap",
            "variance": kind == "noise",
            "sampled": not video,
            "grouped": not video,
        }
        for key, suited in suits.items():
            default = None if isinstance(TEST[key].default, type) else TEST[key].default
            if not suited and test[key] != default:
                raise ValueError(f"config.tests.{name}.{key}={test[key]!r}: expected {default} for the kind {kind}")


def config_of(config: ConfigDict, name: str) -> ConfigDict:
    """The config of the model of a table: `model` and `train` with the overrides of `train_of` and of the table."""
    model = config.models[name]
    network = "vit" if model.network.startswith("vit") else model.network
    own = engine.of_model(config, name, (network, *(["background"] if model.background else [])))
    if model.model.rate is not None and model.network in FEEDBACK:
        own.feedback[FEEDBACK[model.network].group].rate = model.model.rate
    return own


def experiment(config: ConfigDict, tests: Mapping[str, Table]) -> engine.Experiment:
    """The experiment of a config, evaluated on the test sets of the tables."""
    check_tests(tests)
    tests = engine.by_label(tests)
    tables = engine.by_label(engine.tables(config, "models"))
    data = Data(config)

    def parts(own, table):
        return partial(make_task, own, table, tests), data.of_model(table, tests)

    return engine.Experiment(
        config,
        engine.models_of(config, parts, config_of),
        tests,
        labels={
            "accuracy": "share of digits found",
            "synchrony": "synchrony loss (0: perfect)",
            "order": "order of phases in a digit",
            "separation": "angle between two digits (rad)",
            "overlap_order": "order of phases of overlapping pixels",
            "overlap_distance": "angle of overlapping pixels to the nearest digit (rad)",
            **groups.LABELS,
        },
        statistics=engine.Statistics(
            time_metrics=("accuracy", "synchrony"),
            score="accuracy",
            chance=lambda label, split: chance(config, tables[label], tests.get(split)),
            section=lambda label, split: section(config, tables[label], split, tests[split]),
            untested=("order", "separation", "overlap_order", "overlap_distance"),
            untested_splits=groups.grouped(tests),
        ),
        samples=lambda trained, splits: figures.sample(trained, splits, tests),
        figures=partial(figures.draw, config, tables, tests),
    )


def chance(config: ConfigDict, model: Table, test: Table | None) -> dict[str, float]:
    """Levels of guessing of a model on a test set, or on scenes of its training."""
    scenes = of_training(config, model) if test is None else of_test(config, model, test)
    return {"accuracy": scenes.num_digits / CLASSES}


def section(config: ConfigDict, model: Table, label: str, test: Table) -> str:
    """The name under which a model's values on a test set are reported, with those of models tested on the same scenes.

    The test's label; for scenes like those of the model's training, where these are not the config's own, also how the
    model was trained.
    """
    trained, differs = of_training(config, model), []
    if test["num_digits"] is None and trained.num_digits != config.data.num_digits:
        differs.append(f"{trained.num_digits} digits")
    if test["background"] is None and trained.background:
        differs.append("pictures")
    return f"{label} (trained on {', '.join(differs)})" if differs and test["kind"] not in VIDEOS else label


def migrate(config: dict[str, Any]) -> dict[str, Any]:
    """A config of format 1, with lists of names, as JSON -> one with tables."""
    data = {key: value for key, value in config["data"].items() if key not in ("test_overlap", "noise_variance")}
    train_of = {
        kind: {key: value or None for key, value in entries.items()}
        for kind, entries in config.get("train_of", {}).items()
    }
    return config | {
        "data": data,
        "train_of": train_of,
        "slice_size": config.get("slice_size") or None,
        "models": dict(map(_old_model, config["models"])),
        "tests": dict(_old_test(name, config["data"]) for name in config["tests"]),
    }


def _old_model(name: str) -> tuple[str, dict[str, Any]]:
    """The table of NETWORK@DIGITS or NETWORK@background, under the same label."""
    network, at, scenes = name.partition("@")
    change = f"+digits{scenes}" if scenes.isdecimal() else f"+{scenes}"
    key, table = MODELS.parse(network + change * bool(at), MODEL)
    return key, {**table, "label": name} if at else table


def _old_test(name: str, data: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    key, table = TESTS.parse(name, TEST)
    if table["kind"] in ("overlap", *VIDEOS):
        table.setdefault("max_overlap", data["test_overlap"])
    if table["kind"] == "noise":
        table.setdefault("variance", data["noise_variance"])
    return key, table | {"sampled": {"test": 4, "overlap": 2, "noise": 2}.get(name, 0)}


FAMILY = engine.Family(
    "komplexnet", ENTRIES, MODEL, TEST, models=MODELS, tests=TESTS, check=check, experiment=experiment, migrate=migrate
)
