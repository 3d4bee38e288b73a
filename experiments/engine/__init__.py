"""Trains, checkpoints, logs and reports any model that is given as a `Task`; knows none by name."""

from experiments.engine.process.arguments import Parser
from experiments.engine.process.errors import RunError, UsageError
from experiments.engine.record import markdown
from experiments.engine.run.command_line import main
from experiments.engine.run.config import base as base_config
from experiments.engine.run.config import variant
from experiments.engine.training.runner import Trained, run
from experiments.engine.training.task import Task

__all__ = ["Parser", "RunError", "Task", "Trained", "UsageError", "base_config", "main", "markdown", "run", "variant"]
