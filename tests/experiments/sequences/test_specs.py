"""Configs, tables and shorthand of the experiments of sequences."""

import re

import pytest

from experiments import engine
from experiments.sequences.specs import FAMILY
from tests.experiments.families import config_of, tables


def test_the_papers():
    """Published settings, as far as there are some."""
    rows, permuted, adding = (config_of(FAMILY, f"{name},paper") for name in ("mnist", "permuted_mnist", "adding"))
    of_cornn = [engine.of_model(config, "cornn") for config in (rows, permuted, adding)]
    constants = [(c.model.units, c.model.dt, c.model.stiffness, c.model.damping) for c in of_cornn]
    assert constants == [(256, 0.042, 2.7, 4.7), (256, 0.076, 0.4, 8.0), (128, 0.06, 66.0, 15.0)]
    rates = [(c.train.learning_rate, c.train.batch_size) for c in of_cornn]
    assert rates == [(2.1e-3, 120), (5.4e-3, 120), (2e-2, 50)]
    rings = [engine.of_model(config, "wrnn").model for config in (rows, permuted, adding)]
    assert [(ring.places, ring.channels, ring.hidden) for ring in rings] == [
        (169, 32, (100,)),
        (256, 16, ()),
        (100, 27, ()),
    ]
    assert [(c.train.epochs, c.train.num_examples, c.data.validation_examples) for c in (rows, permuted)] == [
        (120, 57_000, 3000)
    ] * 2
    assert adding.train.num_examples // adding.train.batch_size * adding.train.epochs == 60_000
    assert engine.of_model(adding, "dlinoss").model.dropout == 0.1


def test_shorthand():
    expected = {
        "linoss+imex2": {"network": "linoss", "form": "imex2"},
        "wrnn+solo+identity": {"network": "wrnn", "one_source": True, "start": "identity"},
    }
    for label, table in tables(FAMILY, "models", *expected).items():
        assert {key: table[key] for key in expected[label]} == expected[label]


@pytest.mark.parametrize(
    ("variant", "entry", "value", "expected"),
    [
        ("copy", "data.permutation", 1, "None"),
        ("digits", "models.gru.form", "im", "None"),
        ("digits", "models.cornn.start", "shift", "None"),
        ("digits", "models.irnn.one_source", True, "False"),
        ("digits", "models.linoss.form", "implicit", "one of im"),
        ("digits", "model.hidden", (0,), "whole numbers"),
        ("adding", "data.length", 1, "at least 2"),
        ("digits", "data.permutation", -1, "0 to"),
    ],
)
def test_values_that_do_not_suit_are_named(variant, entry, value, expected):
    with pytest.raises(engine.UsageError, match=rf"config\.{entry}={re.escape(repr(value))}: expected {expected}"):
        config_of(FAMILY, f"{variant},smoke", **{entry: value})
