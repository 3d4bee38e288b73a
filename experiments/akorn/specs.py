"""The experiments of oscillators on spheres as data: entries of a config, tables of models and test sets, shorthand."""

from collections.abc import Mapping
from functools import partial
from typing import Any, get_args

from ml_collections import ConfigDict

from experiments import engine
from experiments.akorn import figures
from experiments.akorn.data import KINDS, SETS, Data
from experiments.akorn.task import TASKS, builders, make_task
from experiments.engine import NON_NEGATIVE, ODD, POSITIVE, Entry, at_least, between, one_of, span
from oscnets.ops import By

Table = Mapping[str, Any]

VOTES = get_args(By)

NETWORKS = tuple(dict.fromkeys(name for task in TASKS.values() for name in task.BUILDERS))

ENTRIES: engine.Entries = {
    "data": {
        "set": Entry("sudoku", "boards or pictures", one_of(*SETS)),
        "givens": Entry((31, 42), "fewest and most digits given in a Sudoku", span(28, 80)),
        "sparse_givens": Entry((17, 34), "the same of the test set sparse", span(17, 80)),
        "validation_examples": Entry(1000, "examples of the validation split", at_least(1)),
        "test_examples": Entry(1000, "examples of a test set", at_least(1)),
    },
    # Names as in `oscnets.models.AKOrN`.
    "model": {
        "channels": Entry(512, "channels of the states", at_least(1)),
        "num_layers": Entry(1, "layers, or blocks of the network itrsa", at_least(1)),
        "components": Entry(4, "components of an oscillator", at_least(1)),
        "heads": Entry(8, "heads of the attention", at_least(1)),
        "kernel_size": Entry(5, "side of the coupling by convolution", ODD),
        "num_steps": Entry(16, "steps of the dynamics, or applications of a block's attention", at_least(1)),
    },
    "train": {
        "clip": Entry(1.0, "largest norm of a gradient; larger ones are scaled down to it", POSITIVE),
        "average_decay": Entry(0.995, "decay of the average of the parameters that is evaluated", between(0, 0.999999)),
        "average_every": Entry(10, "updates from one move of the average to the next", at_least(1)),
        "average_start": Entry(100, "updates before the average begins", NON_NEGATIVE),
    },
}

MODEL: engine.Entries = {
    "network": Entry(str, "the network", one_of(*NETWORKS), required=True),
    "coupling": Entry("attention", "coupling of the network akorn", one_of("attention", "conv")),
}

TEST: engine.Entries = {
    "kind": Entry(str, "; ".join(f"{kind}: {text}" for kind, text in KINDS.items()), one_of(*KINDS), required=True),
    "steps": Entry(int, "steps of the dynamics; not set: those of the training", at_least(1)),
    "votes": Entry(1, "runs from different noises for a Sudoku, one of which gives the answer", at_least(1)),
    "by": Entry(
        "sum",
        "the run that gives it: of the lowest energy, summed over the steps or after the last one, or the most "
        "confident one",
        one_of(*VOTES),
    ),
}

LABELS = {
    "boards": "share of boards solved",
    "cells": "share of blank cells right",
    "loss": "loss",
}

MODELS = engine.Shorthand(
    {network: {"network": network} for network in NETWORKS}, changes={"conv": {"coupling": "conv"}}
)
TESTS = engine.Shorthand(
    {kind: {"kind": kind} for kind in KINDS},
    changes={"votes": "votes", **{by: {"by": by} for by in VOTES}},
    steps="steps",
)


def check(config: ConfigDict) -> None:
    """Raise ValueError, with the entry, its value and what was expected, where entries do not suit each other."""
    known = builders(config)
    for name, model in config.models.items():
        if model.network not in known:
            raise ValueError(
                f"config.models.{name}.network={model.network!r}: expected one of {', '.join(known)} for "
                f"config.data.set={config.data.set!r}"
            )
        own = engine.of_model(config, name).model
        per_head = 2 * own.heads if model.network == "akorn" else own.heads
        for divisor, of in ((own.components, "components"), (per_head, "heads, twice")):
            if own.channels % divisor:
                raise ValueError(f"config.model.channels={own.channels}: expected a multiple of {divisor}, the {of}")


def experiment(config: ConfigDict, tests: Mapping[str, Table]) -> engine.Experiment:
    """The experiment of a config, evaluated on the test sets of the tables."""
    tests = {engine.label(name, table): table for name, table in tests.items()}
    data = Data(config)

    def model(name, table):
        own = engine.of_model(config, name)
        measured = {label: test for label, test in tests.items() if is_measured(table, test)}
        task, splits = partial(make_task, own, table, tests), data.of_model(table, measured)
        return engine.Model(engine.label(name, table), table, own, task, splits)

    models = [model(name, table) for name, table in engine.tables(config, "models").items()]
    return engine.Experiment(
        config,
        {model.label: model for model in models},
        {label: engine.Test(label, table) for label, table in tests.items()},
        labels=LABELS,
        statistics=engine.Statistics(score="cells", chance=lambda label, split: {"cells": 1 / 9}),
        samples=lambda trained, data: figures.sample(trained, data, tests),
        figures=partial(figures.draw, {model.label: model for model in models}, tests),
    )


def is_measured(model: Table, test: Table) -> bool:
    """Whether a model is evaluated on a test set: without noise there are no votes."""
    return test["votes"] == 1 or model["network"] == "akorn"


FAMILY = engine.Family("akorn", ENTRIES, MODEL, TEST, models=MODELS, tests=TESTS, check=check, experiment=experiment)
