"""The command line of programs without a config: misuse is one line and exit status 2."""

import argparse
import io
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from experiments.engine.process.errors import RunError, UsageError


def escape_unknown_characters() -> None:
    """Print characters that the encoding of the standard output lacks as escapes, as the standard error does."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def positive(text: str) -> int:
    """A whole number >= 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {number}")
    return number


class Parser(argparse.ArgumentParser):
    """An `argparse.ArgumentParser` without abbreviated flags that raises UsageError where it is misused."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **settings})

    def error(self, message: str) -> NoReturn:
        """Raise UsageError with argparse's message."""
        raise UsageError(message)

    def run(self, command: Callable[[argparse.Namespace], None], argv: Sequence[str] | None = None) -> int:
        """Parse the arguments and call the command with them.

        Args:
            command: takes the parsed arguments.
            argv: arguments after the program's name; None = the process's.

        Returns:
            The exit status: 0, or after one line on stderr 1 (RunError) or 2 (UsageError).
        """
        escape_unknown_characters()
        try:
            command(self.parse_args(argv))
        except (RunError, UsageError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1 if isinstance(error, RunError) else 2
        return 0
