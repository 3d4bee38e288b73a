"""The comparison as data: the entries of a config, the tables of models and test sets, their shorthand."""

from collections.abc import Mapping
from functools import partial

from ml_collections import ConfigDict

from data_gen import sources
from experiments import engine, groups
from experiments.compare import figures
from experiments.compare.data import KINDS, SETS, Data
from experiments.compare.task import FAMILIES, NETWORKS, family_of, make_task, of_family
from experiments.engine import NON_NEGATIVE, Check, Entry, Table, at_least, between, one_of
from experiments.waves import specs as waves

_EIGHTHS = Check(lambda size: 16 <= size <= 1024 and size % 8 == 0, "a multiple of 8, 16 to 1024, to halve three times")

# Of each family the entries of its networks, and those of its training that no other has.
ENTRIES: engine.Entries = {
    "data": {
        "set": Entry("digits", "scenes of two digits or of two tetrominoes in colours", one_of(*SETS)),
        "source": Entry("mnist", "data set of the digits", one_of(*sources.NAMES[:3])),
        "size": Entry(32, "side of a scene, pixels", _EIGHTHS),
        "square": Entry(4, "side of a tetromino's squares, pixels", between(3, 16)),
        "validation_examples": Entry(1000, "scenes of the validation split", at_least(1)),
        "test_examples": Entry(1000, "scenes of a test set", at_least(1)),
    },
    "model": {name: family.entries["model"] for name, family in FAMILIES.items()},
    "train": {
        name: {key: entry for key, entry in family.entries["train"].items() if key not in engine.ENTRIES["train"]}
        for name, family in FAMILIES.items()
        if "train" in family.entries
    },
}

CHOICES = tuple(waves.MODEL)[1:]  # entries of segmenters alone
MODEL: engine.Entries = {
    "network": Entry(
        str, "the network", one_of(*(name for networks in NETWORKS.values() for name in networks)), required=True
    ),
    **{key: waves.MODEL[key] for key in CHOICES},
}

TEST: engine.Entries = {
    "kind": Entry(
        str,
        "test: scenes like those of the training; noise: Gaussian noise is added; overlap: digits overlap",
        one_of(*KINDS),
        required=True,
    ),
    "std": Entry(float, "standard deviation of the noise of the kind noise", NON_NEGATIVE),
    "max_overlap": Entry(float, "largest overlap of the kind overlap, share of lit pixels", between(0.01, 1)),
    "grouped": groups.GROUPED._replace(
        help="number of scenes, the first of the test set, whose objects are told apart by clusters too (fg_ari); 0: no"
    ),
    "sampled": Entry(0, "scenes of a grouped test set whose groups are drawn", at_least(0)),
}
LEVELS = {"noise": "std", "overlap": "max_overlap"}  # the entry that each kind needs

LABELS = {
    "accuracy": "share of objects found",
    "foreground_accuracy": "share of objects' pixels named",
    "order": "order of phases in an object",
    "separation": "angle between two objects (rad)",
    "synchrony": "synchrony loss (0: perfect)",
    "pixels_fg_ari": "fg_ari of the image alone",
    "fg_ari": groups.LABELS["fg_ari"],
}

MODELS = engine.Shorthand(
    {name: {"network": name} for family in ("komplexnet", "gaspnet") for name in NETWORKS[family]} | waves.MODELS.names,
    level=waves.MODELS.level,
)
TESTS = engine.Shorthand({kind: {"kind": kind} for kind in KINDS}, level=LEVELS, changes={"grouped": "grouped"})


def check(config: ConfigDict) -> None:
    """Raise ValueError, with the entry, its value and what was expected, where entries do not suit each other."""
    if 5 * config.data.square > config.data.size:
        raise ValueError(
            f"config.data.square={config.data.square}: expected at most a fifth of config.data.size={config.data.size}"
        )
    for name, model in config.models.items():
        family = family_of(model)
        for key in CHOICES:
            if key not in family.model and model[key] is not None:
                raise ValueError(
                    f"config.models.{name}.{key}={model[key]!r}: expected None, for the network {model.network}"
                )
        family.check(of_family(engine.of_model(config, name), model.to_dict(), name)[0])
    check_tests(config, config.tests)


def check_tests(config: ConfigDict, tests: Mapping[str, Table]) -> None:
    """The same for tables of test sets, by name."""
    for name, test in tests.items():
        entry, kind = f"config.tests.{name}", test["kind"]
        if kind == "overlap" and config.data.set != "digits":
            raise ValueError(f"{entry}.kind={kind!r}: expected test or noise for config.data.set={config.data.set!r}")
        engine.check_levels(entry, test, LEVELS)
        if test["sampled"] > test["grouped"]:
            raise ValueError(f"{entry}.sampled={test['sampled']}: expected at most grouped={test['grouped']}")


def experiment(config: ConfigDict, tests: Mapping[str, Table]) -> engine.Experiment:
    """The experiment of a config, evaluated on the test sets of the tables."""
    check_tests(config, tests)
    tests = engine.by_label(tests)
    data = Data(config)

    def parts(own, table):
        splits = data.of_model(table, family_of(table).name == "gaspnet", tests)
        return partial(make_task, own, table, tests), splits

    models = engine.models_of(config, parts)
    return engine.Experiment(
        config,
        models,
        tests,
        labels=LABELS,
        statistics=engine.Statistics(
            time_metrics=("accuracy",),
            score="accuracy",
            chance=lambda label, split: {"accuracy": SETS[config.data.set].chance},
            untested=("exact_match", "plain_accuracy", "plain_exact_match", "synchrony", "order", "separation"),
            untested_splits=groups.grouped(tests),
        ),
        samples=lambda trained, splits: figures.sample(trained, splits, tests),
        figures=partial(figures.draw, config, models, tests),
    )


FAMILY = engine.Family("compare", ENTRIES, MODEL, TEST, models=MODELS, tests=TESTS, check=check, experiment=experiment)
