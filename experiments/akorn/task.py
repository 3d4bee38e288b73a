"""A model as the engine trains and evaluates it, by the set of data."""

from collections.abc import Callable, Mapping

from flax import linen as nn
from ml_collections import ConfigDict

from experiments import engine
from experiments.akorn import autoencode, discovery, sudoku
from experiments.engine import Table

TASKS = {"sudoku": sudoku, "shapes": autoencode, "tetrominoes": discovery}  # by config.data.set


def builders(config: ConfigDict) -> dict[str, Callable[[ConfigDict, Table], nn.Module]]:
    """The networks that an entry of config.models may name, for this set of data."""
    return TASKS[config.data.set].BUILDERS


def make_network(config: ConfigDict, model: Table) -> nn.Module:
    """The Flax module of a model, given its config and its table."""
    return builders(config)[model["network"]](config, model)


def make_task(config: ConfigDict, model: Table, tests: Mapping[str, Table]) -> engine.Task:
    """The task of one model, given its own config, its table, and the tables of the test sets by label."""
    return TASKS[config.data.set].make_task(config, model, tests)
