"""The experiments of sequences as data: the entries of a config, tables of models and test sets, shorthand."""

from collections.abc import Mapping
from functools import partial
from typing import get_args

from ml_collections import ConfigDict

from experiments import engine
from experiments.engine import POSITIVE, Check, Entry, Table, at_least, between, one_of
from experiments.sequences import figures
from experiments.sequences.data import Data
from experiments.sequences.problems import PROBLEMS, problem_of
from experiments.sequences.task import BUILDERS, make_task
from oscnets.dynamics.filters import Form

STARTS = ("shift", "identity", "random")

ENTRIES: engine.Entries = {
    "data": {
        "set": Entry("scans", "pictures whose pixels are read one by one, or a task of memory", one_of(*PROBLEMS)),
        "permutation": Entry(
            int, "seed of the order in which pixels are read; not set: row by row", between(0, 2**31 - 1)
        ),
        "length": Entry(100, "steps of a sequence to add; those between symbols and copy", at_least(2)),
        "validation_examples": Entry(1000, "sequences of the validation split", at_least(1)),
        "test_examples": Entry(1000, "sequences of the test set", at_least(1)),
    },
    # Names as in `oscnets.models.LinOSS`, `CoRNN` and `WaveRNN`.
    "model": {
        "channels": Entry(64, "channels between the blocks of linoss, or at every place of wrnn", at_least(1)),
        "state_size": Entry(64, "oscillators of a block of linoss", at_least(1)),
        "num_blocks": Entry(4, "blocks of linoss", at_least(1)),
        "dropout": Entry(0.05, "share of the values that linoss drops in training", between(0, 0.99)),
        "units": Entry(128, "units of cornn, irnn and gru", at_least(1)),
        "dt": Entry(0.042, "time step of cornn", POSITIVE),
        "stiffness": Entry(2.7, "gamma of cornn", engine.NON_NEGATIVE),
        "damping": Entry(4.7, "epsilon of cornn", engine.NON_NEGATIVE),
        "places": Entry(100, "places on the ring of wrnn", at_least(3)),
        "hidden": Entry(
            (),
            "units of the hidden layers of the readout of wrnn and irnn",
            Check(lambda units: all(type(n) is int and n >= 1 for n in units), "whole numbers of at least 1"),
        ),
    },
}

MODEL: engine.Entries = {
    "network": Entry(str, "the network", one_of(*BUILDERS), required=True),
    "form": Entry(str, "discretization; not set: im of linoss, imex of dlinoss", one_of(*get_args(Form))),
    "start": Entry(str, "first kernel of wrnn; not set: shift", one_of(*STARTS)),
    "one_source": Entry(False, "whether the inputs of wrnn start at one place"),
}

TEST: engine.Entries = {"kind": Entry(str, "test: sequences like those of the training", one_of("test"), required=True)}

LABELS = {"accuracy": "share of answers right", "solved": "share of sums right", "loss": "loss"}

MODELS = engine.Shorthand(
    {network: {"network": network} for network in BUILDERS},
    changes={
        **{form: {"form": form} for form in get_args(Form)},
        **{start: {"start": start} for start in STARTS},
        "solo": {"one_source": True},
    },
)
TESTS = engine.Shorthand({"test": {"kind": "test"}})


def check(config: ConfigDict) -> None:
    """Raise ValueError, with the entry, its value and what was expected, where entries do not suit each other."""
    drawn = problem_of(config).draw is not None
    if drawn and config.data.permutation is not None:
        raise ValueError(
            f"config.data.permutation={config.data.permutation}: expected None for config.data.set={config.data.set!r}"
        )
    for name, model in config.models.items():
        of = {"form": ("linoss", "dlinoss"), "start": ("wrnn",), "one_source": ("wrnn",)}
        for key, networks in of.items():
            if model[key] and model.network not in networks:
                raise ValueError(
                    f"config.models.{name}.{key}={model[key]!r}: expected {None if key != 'one_source' else False}, "
                    f"for the network {model.network}"
                )


def experiment(config: ConfigDict, tests: Mapping[str, Table]) -> engine.Experiment:
    """The experiment of a config, evaluated on the test sets of the tables."""
    tests = engine.by_label(tests)
    data, shown, problem = Data(config), next(iter(tests)), problem_of(config)

    def parts(own, table):
        return partial(make_task, own, table), data.of_model(table, tests)

    models = engine.models_of(config, parts)
    constant = problem.constant(config.data.length)
    return engine.Experiment(
        config,
        models,
        tests,
        labels=LABELS,
        statistics=engine.Statistics(
            time_metrics=(),
            score="accuracy" if problem.draw is None else "-loss",
            chance=lambda label, split: constant,
        ),
        samples=lambda trained, data: figures.sample(trained, data[shown]),
        figures=partial(figures.draw, models),
    )


FAMILY = engine.Family(
    "sequences", ENTRIES, MODEL, TEST, models=MODELS, tests=TESTS, check=check, experiment=experiment
)
