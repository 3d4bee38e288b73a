"""python -m experiments.results_table writes the page of all claims."""

import sys

from experiments import engine
from experiments.results_table import RESULTS, table


def main() -> int:
    """Write the page; the exit status."""
    engine.write_atomically(RESULTS / "README.md", table().encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
