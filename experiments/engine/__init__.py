"""Trains, checkpoints, logs and reports any model that is given as a `Task`; knows none by name."""

from experiments.engine.cli import main
from experiments.engine.config import base as base_config
from experiments.engine.config import variant
from experiments.engine.errors import RunError, UsageError
from experiments.engine.runner import Trained, run
from experiments.engine.task import Task

__all__ = ["RunError", "Task", "Trained", "UsageError", "base_config", "main", "run", "variant"]
