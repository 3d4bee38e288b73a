"""Hyper-parameter search for one model, on validation data.

python -m experiments.komplexnet.search --config=experiments/configs/komplexnet.py:digits --network=feedback
"""

import sys

from ml_collections import ConfigDict

from experiments.engine.run import config as config_lib
from experiments.komplexnet import names
from experiments.komplexnet.data import Data
from experiments.komplexnet.settings import of_model, validate
from experiments.komplexnet.tasks import make_task
from experiments.search import search
from experiments.search.trials import Values
from oscnets.models.komplexnet import LAYERS

# The values of the paper's first table and those that suit smaller scenes lie well inside.
_TRACED = {"rate": (1e-3, 1e-1), "epsilon": (0.02, 2.0), "synchrony_weight": (0.01, 10.0)}
_LEARNING_RATE, _FEEDBACK_RATE = (1e-4, 3e-2), (5e-4, 5e-2)
_KERNEL_SIZES, _FEEDBACK_KERNEL_SIZES = range(5, 20, 2), range(3, 10, 2)


def problem(config: ConfigDict, network: str) -> search.Problem:
    """The search for what is to be chosen of a model of `names`.

    Of every model the learning rate; with dynamics also rate, epsilon, weight of the synchrony loss and size of the
    coupling kernel; with feedback the rate of each layer that feeds back (rate_l2, ...), and from l2 the kernel's size.

    Raises:
        ValueError: no such model.
    """
    layers = names.FEEDBACK.get(names.model(network).network)
    traced, shapes = {"learning_rate": _LEARNING_RATE}, {}
    if layers is not None:
        traced |= _TRACED | {f"rate_{layer}": _FEEDBACK_RATE for layer in layers}
        shapes["kernel_size"] = _KERNEL_SIZES
        if "l2" in layers:
            shapes["feedback_kernel_size"] = _FEEDBACK_KERNEL_SIZES
    found = values_of(config, network)
    return search.Problem(
        search.Space(traced, shapes),
        lambda values: make_task(with_values(config, network, values), network),
        Data(config).of_model(network, ()),
        {name: found[name] for name in (*traced, *shapes)},
        lambda values: with_values(config, network, values),
    )


def values_of(config: ConfigDict, network: str) -> Values:
    """What a config says of the hyper-parameters of a model, by the names that the search has for them."""
    known = config_lib.leaves(of_model(config, network))
    rates = known[f"{_place(network)}.feedback_rates"] if _place(network) != "model" else ()
    found = {name: known[entry] for name, entry in _entries(network).items()}
    return found | {f"rate_{layer}": rate for layer, rate in zip(LAYERS, rates, strict=False)}


def with_values(config: ConfigDict, network: str, values: Values) -> ConfigDict:
    """The config that trains this one model, with some of its hyper-parameters changed; they may be traced scalars."""
    changes = {entry: values[name] for name, entry in _entries(network).items() if name in values}
    if (place := _place(network)) != "model":
        merged = {**values_of(config, network), **values}
        changes[f"{place}.feedback_rates"] = tuple(merged[f"rate_{layer}"] for layer in LAYERS)
    changed = of_model(config, network).unlock()
    with changed.ignore_type():
        changed.update_from_flattened_dict({**changes, "models": (network,)})
    return changed.lock()


def _place(network: str) -> str:
    """Where the config has the rates of a model: "model", or with feedback a group of their own."""
    layers = names.FEEDBACK.get(names.model(network).network, ())
    return f"feedback.{'all' if len(layers) > 1 else layers[0]}" if layers else "model"


def _entries(network: str) -> dict[str, str]:
    """The config's entry by hyper-parameter, but for the rates of feedback, which share one."""
    return {
        "learning_rate": "train.learning_rate",
        "rate": f"{_place(network)}.rate",
        "epsilon": "model.epsilon",
        "synchrony_weight": "train.synchrony_weight",
        "kernel_size": "model.kernel_size",
        "feedback_kernel_size": "feedback_kernel_size",
    }


def main(argv: list[str] | None = None) -> int:
    """The command line; the exit status."""
    return search.main(problem, name="komplexnet.search", validate=validate, flags={"network": "komplexnet"}, argv=argv)


if __name__ == "__main__":
    sys.exit(main())
