"""The experiments of oscillators on spheres as data: entries of a config, tables of models and test sets, shorthand."""

import math
from collections.abc import Mapping
from functools import partial
from typing import get_args

from ml_collections import ConfigDict

from data_gen import shapes
from experiments import engine, groups
from experiments.akorn import figures
from experiments.akorn.data import KINDS, SETS, SIZE, Data
from experiments.akorn.task import TASKS, builders, make_task
from experiments.engine import ODD, Entry, Table, at_least, between, one_of, span
from oscnets.ops import Criterion

VOTES = get_args(Criterion)

NETWORKS = tuple(dict.fromkeys(name for task in TASKS.values() for name in task.BUILDERS))

ENTRIES: engine.Entries = {
    "data": {
        "set": Entry("sudoku", "boards or pictures", one_of(*SETS)),
        "givens": Entry((31, 42), "fewest and most digits given in a Sudoku", span(28, 80)),
        "sparse_givens": Entry((17, 34), "fewest and most givens in the test set sparse", span(17, 80)),
        "num_shapes": Entry(4, "shapes in a picture of the set shapes", between(1, 10)),
        "colour": Entry("grey", "colours of the set shapes", one_of(*shapes.CHANNELS)),
        "num_pieces": Entry((3, 3), "fewest and most pieces in a picture of the set tetrominoes", span(1, 12)),
        "square": Entry(5, "side of a piece's squares, pixels", between(3, 8)),
        "validation_examples": Entry(1000, "examples of the validation split", at_least(1)),
        "test_examples": Entry(1000, "examples of a test set", at_least(1)),
    },
    # Names as in `oscnets.models.AKOrN`, and of the autoencoders as in `oscnets.models.RotatingFeatures`.
    "model": {
        "channels": Entry(512, "channels of the states", at_least(1)),
        "num_layers": Entry(1, "layers, or blocks of the network itrsa", at_least(1)),
        "components": Entry(4, "components of an oscillator", at_least(1)),
        "heads": Entry(8, "heads of the attention", at_least(1)),
        "kernel_size": Entry(5, "side of the coupling by convolution", ODD),
        "num_steps": Entry(16, "steps of the dynamics, or applications of a block's attention", at_least(1)),
        "patch": Entry(4, "side of the patches of pictures, pixels", one_of(1, 2, 4, 8)),
        "latent": Entry(64, "features of an autoencoder's code", at_least(1)),
    },
    "train": {
        "average_decay": Entry(0.995, "decay of the average of the parameters that is evaluated", between(0, 0.999999)),
        "average_every": Entry(10, "updates from one move of the average to the next", at_least(1)),
        "average_start": Entry(100, "updates before the average begins", at_least(0)),
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
    "tiles": Entry(1, "how many times finer features of tetrominoes are, by copies of the picture", one_of(1, 2, 4, 8)),
}

LABELS = {
    "boards": "share of boards solved",
    "cells": "share of blank cells right",
    **groups.LABELS,
    "loss": "loss",
}

MODELS = engine.Shorthand(
    {network: {"network": network} for network in NETWORKS}, changes={"conv": {"coupling": "conv"}}
)
TESTS = engine.Shorthand(
    {kind: {"kind": kind} for kind in KINDS},
    changes={"votes": "votes", "tiles": "tiles", **{by: {"by": by} for by in VOTES}},
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
        for divisor, of in _divisors(model, own):
            if own.channels % divisor:
                raise ValueError(
                    f"config.model.channels={own.channels}: expected a multiple of {divisor}, {of}, for models.{name}"
                )
        if model.network == "akorn" and config.data.set == "sudoku" and own.components % 2:
            raise ValueError(f"config.model.components={own.components}: expected an even number for models.{name}")
    data = config.data
    if data.set == "tetrominoes" and 4 * data.square > SIZE:
        raise ValueError(f"config.data.square={data.square}: expected at most {SIZE // 4}, a piece in a picture")
    if data.set == "tetrominoes":
        for name in config.models:
            size = engine.of_model(config, name).train.batch_size
            if data.validation_examples % size:
                raise ValueError(
                    f"config.data.validation_examples={data.validation_examples}: expected a multiple of "
                    f"{size}, models.{name}'s train.batch_size, for the contrast of whole batches"
                )
    check_tests(config, config.tests)


def _divisors(model: ConfigDict, own: ConfigDict) -> list[tuple[int, str]]:
    """What the channels of a model are a multiple of, and why."""
    if model.network == "akorn":
        attention = [(2 * own.heads, "two for each head")] if model.coupling == "attention" else []
        return [(own.components, "the components"), *attention]
    return [(math.lcm(4, own.heads), "4 and the heads")] if model.network == "itrsa" else []


def check_tests(config: ConfigDict, tests: Mapping[str, Table]) -> None:
    """The same for tables of test sets, by name."""
    boards, tetrominoes = config.data.set == "sudoku", config.data.set == "tetrominoes"
    for name, test in tests.items():
        fits = {
            "kind": boards or test["kind"] == "test",
            "steps": boards or test["steps"] is None,
            "votes": boards or test["votes"] == 1,
            "tiles": test["tiles"] == 1 or (tetrominoes and config.model.patch % test["tiles"] == 0),
        }
        for key, suits in fits.items():
            if not suits:
                default = {"kind": "test", "steps": None, "votes": 1, "tiles": 1}[key]
                raise ValueError(
                    f"config.tests.{name}.{key}={test[key]!r}: expected {default} for "
                    f"config.data.set={config.data.set!r} and config.model.patch={config.model.patch}"
                )


def experiment(config: ConfigDict, tests: Mapping[str, Table]) -> engine.Experiment:
    """The experiment of a config, evaluated on the test sets of the tables."""
    check_tests(config, tests)
    tests = engine.by_label(tests)
    data, boards = Data(config), config.data.set == "sudoku"

    def parts(own, table):
        measured = {label: test for label, test in tests.items() if is_measured(table, own.model.num_steps, test)}
        return partial(make_task, own, table, tests), data.of_model(table, measured)

    models = engine.models_of(config, parts)
    return engine.Experiment(
        config,
        models,
        tests,
        labels=LABELS,
        statistics=engine.Statistics(
            score="cells" if boards else "-loss", chance=lambda label, split: {"cells": 1 / 9} if boards else {}
        ),
        samples=lambda trained, data: figures.sample(trained, data, tests),
        figures=partial(figures.draw, models, tests),
    )


def is_measured(model: Table, num_steps: int, test: Table) -> bool:
    """Whether a model is evaluated on a test set: without noise there are no votes, of one step there are no more."""
    return (test["votes"] == 1 or model["network"] == "akorn") and (test["steps"] is None or num_steps > 1)


FAMILY = engine.Family("akorn", ENTRIES, MODEL, TEST, models=MODELS, tests=TESTS, check=check, experiment=experiment)
