"""Copies what is kept of a run: config, summaries, tables, chosen figures, and metrics.jsonl compressed.

python -m experiments.publish RUN FOLDER [--figures=NAME.png,...]

From the folder `--report_only` draws learning curves and tables again, as from the run.
"""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments import engine

KEPT = ("config.json", "summary.json", "summary.md", "tables.md", "waves.json", "steps.json", "steps.md", "speed.json")


def publish(run: Path, folder: Path, figures: Sequence[str] = ()) -> None:
    """Copy the files of a run that are kept, and the figures that are named.

    Args:
        run: its workdir.
        folder: made where it is missing; files of these names are replaced.
        figures: names of files in RUN/figures.

    Raises:
        UsageError: the run has no summary yet, or a figure is not there.
    """
    if not (run / "summary.json").is_file():
        raise engine.UsageError(f"no summary.json in {run}: is the run finished?")
    if missing := [name for name in figures if not (run / "figures" / name).is_file()]:
        raise engine.UsageError(f"no figures {', '.join(missing)} in {run / 'figures'}")
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    for name in KEPT:
        if (run / name).is_file():
            shutil.copyfile(run / name, folder / name)
    for name in figures:
        shutil.copyfile(run / "figures" / name, folder / "figures" / name)
    engine.compress_metrics(run / "metrics.jsonl", folder)


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status: 0 done, 2 unusable."""
    parser = engine.Parser(prog="python -m experiments.publish", description="What is kept of a run.")
    parser.add_argument("run", type=engine.user_path, help="workdir of a finished run")
    parser.add_argument("folder", type=engine.user_path, help="such as experiments/results/waves/polygons")
    parser.add_argument("--figures", default="", help="names of figures to copy, with commas between")
    try:
        options = parser.parse_args(argv)
        publish(options.run, options.folder, [name for name in options.figures.split(",") if name])
    except engine.UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
