"""Hyper-parameter search for one model, on validation data.

python -m experiments.komplexnet.search --config=experiments/configs/komplexnet.py:digits --models=feedback
"""

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from ml_collections import ConfigDict

from experiments import engine
from experiments.komplexnet.data import Data
from experiments.komplexnet.specs import FAMILY, config_of
from experiments.komplexnet.task import FEEDBACK, has_dynamics, make_network, make_task
from experiments.search import search
from experiments.search.trials import Values
from oscnets.models.komplexnet import LAYERS

# The values of the paper's first table and those that suit smaller scenes lie well inside.
_TRACED = {"rate": (1e-3, 1e-1), "epsilon": (0.02, 2.0), "synchrony_weight": (0.01, 10.0)}
_LEARNING_RATE, _FEEDBACK_RATE = (1e-4, 3e-2), (5e-4, 5e-2)
_KERNEL_SIZES, _FEEDBACK_KERNEL_SIZES = range(5, 20, 2), range(3, 10, 2)


def problem(config: ConfigDict) -> search.Problem:
    """The search for the hyper-parameters of the one model of a config.

    Of every model the learning rate; with dynamics also rate, epsilon, weight of the synchrony loss and size of the
    coupling kernel; with feedback the rate of each layer that sends it (rate_l2, ...), and from l2 the kernel's size.
    """
    ((name, table),) = engine.tables(config, "models").items()
    model = config_of(config, name)
    traced, shapes = {"learning_rate": _LEARNING_RATE}, {}
    if has_dynamics(make_network(model, table)):
        layers = FEEDBACK[table["network"]].layers if table["network"] in FEEDBACK else ()
        traced |= _TRACED | {f"rate_{layer}": _FEEDBACK_RATE for layer in layers}
        shapes["kernel_size"] = _KERNEL_SIZES
        if "l2" in layers:
            shapes["feedback_kernel_size"] = _FEEDBACK_KERNEL_SIZES
    present = values_of(model, table)
    return search.Problem(
        search.Space(traced, shapes),
        model,
        lambda values: make_task(with_values(model, table, values), table),
        Data(config).of_model(table, {}),
        {key: present[key] for key in (*traced, *shapes)},
        partial(settled, config, name),
    )


def values_of(model: ConfigDict, table: Mapping[str, Any]) -> Values:
    """The hyper-parameters in the config of a model (`config_of`)."""
    entries = engine.leaves(model)
    values = {name: entries[entry] for name, entry in _entries(table).items()}
    rates = entries[f"{_place(table)}.feedback_rates"] if table["network"] in FEEDBACK else ()
    return values | {f"rate_{layer}": rate for layer, rate in zip(LAYERS, rates, strict=False)}


def with_values(model: ConfigDict, table: Mapping[str, Any], values: Values) -> ConfigDict:
    """The config of a model with some of its hyper-parameters changed; they may be traced scalars."""
    changed = model.copy_and_resolve_references().unlock()
    with changed.ignore_type():
        changed.update_from_flattened_dict(_changes(model, table, values))
    return changed.lock()


def settled(config: ConfigDict, name: str, values: Values) -> ConfigDict:
    """The config of an experiment that trains the model of a table with some hyper-parameters, which are numbers."""
    model, table = config_of(config, name), engine.tables(config, "models")[name]
    changed = config.copy_and_resolve_references().unlock()
    for entry, value in _changes(model, table, values).items():
        if entry == f"{_place(table)}.rate":
            entry = "model.rate"  # the table's takes precedence over that of the feedback
        of_table = entry.startswith(("model.", "train."))
        changed.update_from_flattened_dict({f"models.{name}.{entry}" if of_table else entry: value})
    return changed.lock()


def _changes(model, table, values) -> dict[str, Any]:
    """Entries of a model's config and their new values."""
    changes = {entry: values[name] for name, entry in _entries(table).items() if name in values}
    if table["network"] in FEEDBACK:
        merged = {**values_of(model, table), **values}
        changes[f"{_place(table)}.feedback_rates"] = tuple(merged[f"rate_{layer}"] for layer in LAYERS)
    return changes


def _place(table) -> str:
    """The group of the config with the rates of a model."""
    return f"feedback.{FEEDBACK[table['network']].group}" if table["network"] in FEEDBACK else "model"


def _entries(table) -> dict[str, str]:
    """Entry of a model's config by hyper-parameter, but for the rates of feedback, which share one."""
    return {
        "learning_rate": "train.learning_rate",
        "rate": f"{_place(table)}.rate",
        "epsilon": "model.epsilon",
        "synchrony_weight": "train.synchrony_weight",
        "kernel_size": "model.kernel_size",
        "feedback_kernel_size": "feedback_kernel_size",
    }


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; the exit status."""
    return search.main(FAMILY, problem, argv=argv)


if __name__ == "__main__":
    sys.exit(main())
