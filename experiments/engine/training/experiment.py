"""One value that describes an experiment: models, test sets, data, labels, statistics and figures."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from experiments.engine.record.summary import Statistics
from experiments.engine.run.config import label, of_model, tables
from experiments.engine.run.entries import Table
from experiments.engine.training.splits import Splits
from experiments.engine.training.task import PyTree, Task


class Model(NamedTuple):
    """A model and all that its training and evaluation need.

    Attributes:
        label: name in metrics.jsonl, checkpoints, tables and figures.
        table: the completed table of the config that defines it.
        config: with this model's `model` and `train` (`engine.of_model`).
        task: makes the task, called when the model's turn comes.
        data: by split: a pytree of numpy arrays of equal leading length, or a function that gives one, called when the
            split is needed. "train", "validation" and the label of every test set; a model is not evaluated on a test
            set that is not here.
    """

    label: str
    table: Table
    config: ConfigDict
    task: Callable[[], Task]
    data: Mapping[str, PyTree | Callable[[], PyTree]]


def by_label(tables: Mapping[str, Table]) -> dict[str, Table]:
    """Tables of models or test sets by the names that metrics.jsonl, tables and figures have for them."""
    return {label(name, table): table for name, table in tables.items()}


def models_of(
    config: ConfigDict,
    parts: Callable[[ConfigDict, Table], tuple[Callable[[], Task], Mapping[str, Any]]],
    own: Callable[[ConfigDict, str], ConfigDict] = of_model,
) -> dict[str, Model]:
    """The models of `config.models` by label, in their order.

    Args:
        config: of the run.
        parts: (config of the model, its table) -> `Model.task` and `Model.data`.
        own: (config of the run, name of the table) -> config of the model.
    """
    models = {}
    for name, table in tables(config, "models").items():
        known_as, config_of_model = label(name, table), own(config, name)
        models[known_as] = Model(known_as, table, config_of_model, *parts(config_of_model, table))
    return models


class Trained(NamedTuple):
    """A trained model; parameters are numpy arrays with a leading seed axis S.

    Attributes:
        model: its description.
        task: of the model.
        params: the best on validation.
        initial_params: before training.
        best_step: (S,) training steps of `params`.
        seeds: (S,).
    """

    model: Model
    task: Task
    params: PyTree
    initial_params: PyTree
    best_step: np.ndarray
    seeds: np.ndarray


class Experiment(NamedTuple):
    """An experiment, as `engine.run` and `engine.report` take it.

    Attributes:
        config: checked (`engine.check`).
        models: by label, in the order of training.
        tests: the completed table of every test set by label, in the order of evaluation.
        labels: metric -> axis label with unit.
        statistics: what the summary compares, and with which levels of chance.
        samples: gives arrays to keep in samples/LABEL.npz when a model is trained, for pictures; None: none. A model
            whose arrays are {} has no file.
        figures: draws the experiment's pictures from the workdir when all else is written; None: none.
    """

    config: ConfigDict
    models: Mapping[str, Model]
    tests: Mapping[str, Table]
    labels: Mapping[str, str] = {}
    statistics: Statistics = Statistics()
    samples: Callable[[Trained, Splits], Mapping[str, np.ndarray]] | None = None
    figures: Callable[[Path], Any] | None = None
