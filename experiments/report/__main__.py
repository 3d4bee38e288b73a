"""The command line: python -m experiments.report runs/NAME [runs/OTHER ...]."""

import argparse
import sys
from collections.abc import Sequence

from experiments import engine
from experiments.report import page


def main(argv: Sequence[str] | None = None) -> int:
    """Write the page and print its place; the exit status: 0 done, 1 a damaged run, 2 an unusable folder."""
    parser = engine.Parser(
        prog="python -m experiments.report",
        description="One self-contained HTML page of runs: scenes that play, claims, figures, tables.",
    )
    add, path = parser.add_argument, {"type": engine.user_path}
    add("folders", nargs="*", metavar="DIR", help="of a run, or of results", **path)
    add("--workdir", action="append", default=[], metavar="DIR", help="one more such folder", **path)
    add("--out", metavar="FILE.html", help="the page (default: report.html in the first folder)", **path)
    return parser.run(_run, argv)


def _run(options: argparse.Namespace) -> None:
    folders = [*options.folders, *options.workdir]
    if not folders:
        raise engine.UsageError("expected the folder of a run, as DIR or --workdir=DIR")
    out = options.out or folders[0] / "report.html"
    if not out.parent.is_dir() and options.out:
        raise engine.UsageError(f"--out={out}: there is no folder {out.parent}")
    size = page.write(folders, out)
    print(f"{out}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    sys.exit(main())
