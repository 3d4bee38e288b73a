"""GASPnet's experiments as data: the entries of a config, the tables of models and test sets, their shorthand."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from ml_collections import ConfigDict

from data_gen import sources
from experiments import engine, groups
from experiments.engine import FINITE, NON_NEGATIVE, POSITIVE, Entry, Table, at_least, between, each, one_of
from experiments.gaspnet import figures
from experiments.gaspnet.data import KINDS, SIZE, TARGETS, Data
from experiments.gaspnet.task import BUILDERS, make_task

ENTRIES: engine.Entries = {
    "data": {
        "scenes": Entry("digits", "digits: two of them; overlay: an item over a picture", one_of(*TARGETS)),
        "source": Entry("mnist", "data set of digits and items", one_of(*sources.NAMES[:3])),
        "pictures": Entry("cifar10", "data set of the pictures under items", one_of("cifar10", "textures")),
        "item_size": Entry(28, "side of an item, pixels", between(1, SIZE)),
        "validation_examples": Entry(10_000, "scenes of the validation split", at_least(1)),
        "test_examples": Entry(10_000, "scenes of a test set", at_least(1)),
    },
    # The first line of the paper's table of constants; names as in `oscnets.models.GASPnet`.
    "model": {
        "channels": Entry((26, 30, 32), "channels of the three blocks", each(at_least(1), 3)),
        "hidden": Entry(16, "units of the dense layer", at_least(1)),
        "norm": Entry("last", "where a block normalizes", one_of("last", "first")),
        "dim": Entry(32, "dimension of queries and keys", at_least(1)),
        "strength": Entry(1.0, "alpha: how strongly phases modulate a layer's input", between(0, 1)),
        "rate": Entry(1.0, "rate of the phase dynamics", POSITIVE),
        "neighbour_gain": Entry(5.0, "tau: gain of the coupling between neighbours", POSITIVE),
        "offset": Entry(-0.9, "epsilon: offset of the coupling", FINITE),
        "dense_gain": Entry(0.01, "kappa: gain of the coupling of dense nodes", POSITIVE),
        "dense_maps": Entry("layer", "queries and keys per dense layer or per dense node", one_of("layer", "node")),
        "start": Entry("normal", "phases before the first step: random, or learned", one_of("normal", "learned")),
        "input_phases": Entry(False, "whether the pixels of the input have phases"),
        "num_steps": Entry(6, "steps of the dynamics", at_least(1)),
    },
    "train": {
        "weight_decay": Entry(1e-5, "weight decay, as a part of the gradient", NON_NEGATIVE),
        "synchrony_weight": Entry(0.5, "omega: weight of the synchrony loss", NON_NEGATIVE),
        # The default is that of runs that began before there was a choice; configs take the paper's, half.
        "synchrony_normalization": Entry(
            "bounded",
            "half: the synchrony loss has the prefactor 1/2, as in the paper; bounded: it is at most 1",
            one_of("bounded", "half"),
        ),
        "plain_first": Entry(
            0.0,
            "share of the updates, the first, whose cross-entropy is of the plain pass; phases take one step then",
            between(0, 1),
        ),
        "phase_curriculum": Entry(
            0.0,
            "share of the updates, after those, in which the spread of random starting phases goes from 0 to 1",
            between(0, 1),
        ),
    },
}

# Of the offset and the gain of the dense nodes the paper's formulas say one thing and its words another: `weaken` and
# `amplify` are the other reading.
MODEL: engine.Entries = {
    "network": Entry(str, "the network", one_of(*BUILDERS), required=True),
    "weaken": Entry(False, "the offset has the other sign"),
    "amplify": Entry(False, "the dense nodes have the reciprocal gain"),
    "no_synchrony": Entry(False, "no synchrony loss (omega = 0)"),
    "no_modulation": Entry(False, "phases modulate nothing, in training too (alpha = 0)"),
    "no_kappa_epsilon": Entry(False, "neither the gain of dense nodes nor the offset (kappa = 1, epsilon = 0)"),
    "no_location": Entry(False, "neither gains nor offset (kappa = 1, epsilon = 0, tau = 1)"),
    "node_maps": Entry(False, "a query and a key map for each dense node"),
    "input_phases": Entry(False, "phases of the pixels too"),
}
CHANGES = tuple(key for key in MODEL if key != "network")

TEST: engine.Entries = {
    "kind": Entry(
        str,
        "test: scenes like those of the training; gaussian, salt_pepper: with noise (scenes of digits); item: items of "
        "another size (overlays)",
        one_of(*KINDS),
        required=True,
    ),
    "std": Entry(float, "standard deviation of the noise of the kind gaussian", NON_NEGATIVE),
    "share": Entry(float, "share of pixels that the kind salt_pepper replaces", between(0, 1)),
    "size": Entry(int, "side of an item of the kind item, pixels", between(1, SIZE)),
    "sampled": Entry(4, "scenes saved for the pictures", at_least(0)),
    "grouped": groups.GROUPED,
}
LEVELS = {"gaussian": "std", "salt_pepper": "share", "item": "size"}  # the entry that each kind needs

LABELS = {
    "accuracy": "share of objects named",
    "item": "items named",
    "picture": "pictures named",
    "synchrony": "synchrony loss (0: perfect)",
    **groups.LABELS,
    "order": "order of phases in an object",
    "separation": "angle between two objects (rad)",
}

MODELS = engine.Shorthand(
    {network: {"network": network} for network in BUILDERS},
    changes={change: {change: True} for change in CHANGES},
)
TESTS = engine.Shorthand({kind: {"kind": kind} for kind in KINDS}, level=LEVELS, changes={"grouped": "grouped"})


def check(config: ConfigDict) -> None:
    """Raise ValueError, with the entry, its value and what was expected, where entries do not suit each other."""
    for name, model in config.models.items():
        for change in CHANGES:
            if model.network == "baseline" and model[change]:
                raise ValueError(f"config.models.{name}.{change}=True: expected False for the network baseline")
    plain, spreading = config.train.plain_first, config.train.phase_curriculum
    if plain + spreading > 1:
        raise ValueError(
            f"config.train.plain_first={plain} and phase_curriculum={spreading}: expected a sum of at most 1"
        )
    check_tests(config, config.tests)


def check_tests(config: ConfigDict, tests: Mapping[str, Table]) -> None:
    """The same for tables of test sets, by name."""
    kinds = {"digits": ("test", "gaussian", "salt_pepper"), "overlay": ("test", "item")}[config.data.scenes]
    for name, test in tests.items():
        entry, kind = f"config.tests.{name}", test["kind"]
        if kind not in kinds:
            raise ValueError(
                f"{entry}.kind={kind!r}: expected one of {', '.join(kinds)} for "
                f"config.data.scenes={config.data.scenes!r}"
            )
        engine.check_levels(entry, test, LEVELS)


def experiment(config: ConfigDict, tests: Mapping[str, Table]) -> engine.Experiment:
    """The experiment of a config, evaluated on the test sets of the tables."""
    check_tests(config, tests)
    tests = engine.by_label(tests)
    data = Data(config)

    def parts(own, table):
        return partial(make_task, own, table, tests), data.of_model(table, tests)

    models = engine.models_of(config, parts)
    tables = {label: model.table for label, model in models.items()}
    overlay = config.data.scenes == "overlay"
    chance = {"accuracy": 0.1, "item": 0.1, "picture": 0.1} if overlay else {"accuracy": 0.2}
    return engine.Experiment(
        config,
        models,
        tests,
        labels=LABELS,
        statistics=engine.Statistics(
            time_metrics=("item", "picture", "synchrony") if overlay else ("accuracy", "synchrony"),
            score="accuracy",
            chance=lambda label, split: chance,
            untested=(
                *("exact_match", "plain_exact_match", "order", "separation"),
                *(("accuracy", "plain_accuracy") if overlay else ()),
            ),
            untested_splits=groups.grouped(tests),
        ),
        samples=lambda trained, data: figures.sample(trained, data, tests),
        figures=partial(figures.draw, config.data.scenes, tables, tests),
    )


def migrate(config: dict[str, Any]) -> dict[str, Any]:
    """A config of format 1, with lists of names, as JSON -> one with tables."""
    return config | {
        "models": dict(map(_old_model, config["models"])),
        "tests": dict(TESTS.parse(name, TEST) for name in config["tests"]),
    }


def _old_model(name: str) -> tuple[str, dict[str, Any]]:
    """`divide` was the name of the reciprocal gain when the default, 100, was the gain itself."""
    key, table = MODELS.parse(name.replace("divide", "amplify"), MODEL)
    return key, table | ({"label": name} if name != key else {})


FAMILY = engine.Family(
    "gaspnet", ENTRIES, MODEL, TEST, models=MODELS, tests=TESTS, check=check, experiment=experiment, migrate=migrate
)
