"""Errors that stop a run, and the exit status of each."""

from pathlib import Path


class UsageError(Exception):
    """The command, the config or the workdir cannot be used as given: one line to the user, exit status 2."""


class RunError(Exception):
    """The run failed for a reason that a message explains better than a traceback: exit status 1."""


class CheckpointError(RunError):
    """A checkpoint could not be written, or none of those present can be trusted."""


class NonFiniteError(RunError):
    """A loss, gradient or parameter stopped being finite."""


class OutOfMemoryError(RunError):
    """The memory of a device does not suffice for a program."""


class Interrupted(Exception):
    """The run was asked to stop by a signal; the work done until then is kept: exit status 128 + signum."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by signal {signum}")
        self.signum = signum

    def advice(self, workdir: Path) -> str:
        """What happened, and how to go on."""
        return f"{self}; the same command with --workdir={workdir} continues"
