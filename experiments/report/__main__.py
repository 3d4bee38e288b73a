"""The command line: python -m experiments.report runs/NAME [runs/OTHER ...]."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.engine import RunError, UsageError
from experiments.report import page


def main(argv: Sequence[str] | None = None) -> int:
    """Write the page and say where it lies; the exit status: 0 done, 1 a damaged run, 2 an unusable folder."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.report",
        description="One self-contained HTML page of runs: claims, scenes that play, curves, tables.",
        allow_abbrev=False,
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="of a run, or of results")
    parser.add_argument("--out", type=Path, help="the page (default: report.html in the first folder)")
    arguments = parser.parse_args(argv)
    out = arguments.out or arguments.folders[0] / "report.html"
    try:
        size = page.write(arguments.folders, out)
    except (RunError, UsageError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1 if isinstance(error, RunError) else 2
    print(f"{out}: {size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
