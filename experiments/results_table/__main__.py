"""python -m experiments.results_table writes the page of all claims."""

import argparse
import sys
from collections.abc import Sequence

from experiments import engine
from experiments.results_table import RESULTS, table


def main(argv: Sequence[str] | None = None) -> int:
    """Write the page; the exit status."""
    parser = engine.Parser(prog="python -m experiments.results_table", description="Writes the page of all claims.")
    return parser.run(_write, argv)


def _write(_: argparse.Namespace) -> None:
    engine.write_atomically(RESULTS / "README.md", table().encode())


if __name__ == "__main__":
    sys.exit(main())
