"""The public face of the engine, which trains, checkpoints, logs and reports any model; it knows none by name.

A family of experiments gives a `Family` to `main`; `Family.experiment` makes an `Experiment` for `run`. Four rooms
stand behind it, each of which imports only those before it: process, run, record, training.
"""

from experiments.engine.process import devices, hosts, hugepages
from experiments.engine.process.arguments import Parser, positive
from experiments.engine.process.errors import CheckpointError, Interrupted, NonFiniteError, RunError, UsageError
from experiments.engine.process.files import MARKER, make_workdir, user_path
from experiments.engine.process.profile import Profile
from experiments.engine.process.signals import Stop
from experiments.engine.record import markdown
from experiments.engine.record.metrics_log import compress as compress_metrics
from experiments.engine.record.metrics_log import progress_bar, skip
from experiments.engine.record.results import (
    TRAINING_SPLITS,
    Metrics,
    history,
    in_order,
    last_values,
    load_config,
    load_metrics,
    load_samples,
)
from experiments.engine.record.summary import Statistics, Summary, best_seed, expected_models, header, summarize
from experiments.engine.record.summary_text import render as summary_text
from experiments.engine.run import optimizer
from experiments.engine.run.command_line import Flag, Request, parse, split_config
from experiments.engine.run.command_line import load_config as load_config_file
from experiments.engine.run.command_line import main as command
from experiments.engine.run.config import (
    MAY_CHANGE,
    WHERE,
    check,
    check_levels,
    complete,
    from_json,
    label,
    leaves,
    nearest,
    of_model,
    tables,
    to_json,
    variant,
)
from experiments.engine.run.entries import (
    ENTRIES,
    FINITE,
    NON_NEGATIVE,
    ODD,
    POSITIVE,
    Check,
    Entries,
    Entry,
    Table,
    at_least,
    base_config,
    between,
    each,
    flat_entries,
    one_of,
    span,
)
from experiments.engine.run.family import Family
from experiments.engine.run.shorthand import Shorthand
from experiments.engine.run.workdir import differences, environment, write_atomically
from experiments.engine.run.workdir import record as record_facts
from experiments.engine.training import evaluate, fit, seeds, steps
from experiments.engine.training.experiment import Experiment, Model, Trained, by_label, models_of
from experiments.engine.training.program import experiment_of, main
from experiments.engine.training.runner import load_trained, report, run
from experiments.engine.training.splits import Splits, load_or_fail, num_examples
from experiments.engine.training.task import Measured, PyTree, Task
from experiments.engine.training.wrapped import averaged, averaged_params, statistics_term, with_statistics

__all__ = [
    "ENTRIES",
    "FINITE",
    "MARKER",
    "MAY_CHANGE",
    "NON_NEGATIVE",
    "ODD",
    "POSITIVE",
    "TRAINING_SPLITS",
    "WHERE",
    "Check",
    "CheckpointError",
    "Entries",
    "Entry",
    "Experiment",
    "Family",
    "Flag",
    "Interrupted",
    "Measured",
    "Metrics",
    "Model",
    "NonFiniteError",
    "Parser",
    "Profile",
    "PyTree",
    "Request",
    "RunError",
    "Shorthand",
    "Splits",
    "Statistics",
    "Stop",
    "Summary",
    "Table",
    "Task",
    "Trained",
    "UsageError",
    "at_least",
    "averaged",
    "averaged_params",
    "base_config",
    "best_seed",
    "between",
    "by_label",
    "check",
    "check_levels",
    "command",
    "complete",
    "compress_metrics",
    "devices",
    "differences",
    "each",
    "environment",
    "evaluate",
    "expected_models",
    "experiment_of",
    "fit",
    "flat_entries",
    "from_json",
    "header",
    "history",
    "hosts",
    "hugepages",
    "in_order",
    "label",
    "last_values",
    "leaves",
    "load_config",
    "load_config_file",
    "load_metrics",
    "load_or_fail",
    "load_samples",
    "load_trained",
    "main",
    "make_workdir",
    "markdown",
    "models_of",
    "nearest",
    "num_examples",
    "of_model",
    "one_of",
    "optimizer",
    "parse",
    "positive",
    "progress_bar",
    "record_facts",
    "report",
    "run",
    "seeds",
    "skip",
    "span",
    "split_config",
    "statistics_term",
    "steps",
    "summarize",
    "summary_text",
    "tables",
    "to_json",
    "user_path",
    "variant",
    "with_statistics",
    "write_atomically",
]
