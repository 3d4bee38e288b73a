"""Runs an experiment on a grid or a list of configs; the same command continues.

python -m experiments.sweep komplexnet --config=experiments/configs/komplexnet.py:digits
    --grid=train.learning_rate=1e-3,6e-3 --grid=model.rate=0.009,0.018 --workdir=DIR [--shard=0/4]
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.engine.process.errors import Interrupted, RunError, UsageError
from experiments.sweep import sweep


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Understand the command line; exits with status 2 where it is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.sweep", description="Many runs of one experiment.", allow_abbrev=False
    )
    parser.add_argument("experiment", help="komplexnet, gaspnet or waves")
    parser.add_argument("--config", action="append", required=True, metavar="FILE[:VARIANT]", help="may be repeated")
    parser.add_argument("--grid", action="append", default=[], metavar="KEY=V1,V2,...", help="may be repeated")
    parser.add_argument("--workdir", type=Path, required=True, help="of the sweep; the same command continues it")
    parser.add_argument("--shard", default="0/1", metavar="I/N", help="every N-th run from the I-th on, for array jobs")
    parser.add_argument("--report_only", action="store_true", help="rebuild sweep.md and sweep.csv, and run nothing")
    options, rest = parser.parse_known_args(argv)
    if unknown := [word for word in rest if not word.startswith("--config.")]:
        parser.error(f"unexpected argument {unknown[0]!r}")
    return argparse.Namespace(**vars(options), overrides=rest)


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status: 0 done, 1 a run failed, 2 unusable command or workdir, 130 and 143 stopped by a signal."""
    options = parse(argv)
    module = options.experiment if "." in options.experiment else f"experiments.{options.experiment}"
    try:
        points = sweep.points(options.config, sweep.parse_grid(options.grid))
        failed = sweep.run(
            module,
            points,
            options.workdir.absolute(),
            shard=sweep.parse_shard(options.shard),
            arguments=options.overrides,
            report_only=options.report_only,
        )
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except RunError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except Interrupted as error:
        print(f"{error}; the same command continues", file=sys.stderr)
        return 128 + error.signum
    if failed:
        print(f"error: {len(failed)} runs failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
