"""Runs an experiment on a grid or a list of configs; the same command continues.

python -m experiments.sweep komplexnet --config=experiments/configs/komplexnet.py:digits
    --grid=train.learning_rate=1e-3,6e-3 --grid=models=komplexnet,feedback --workdir=DIR [--shard=0/4]
"""

import argparse
import sys
from collections.abc import Sequence

from experiments import engine
from experiments.sweep import sweep

_OVERRIDES = ("--config.", "--models=", "--tests=")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line; UsageError where it is wrong."""
    parser = engine.Parser(prog="python -m experiments.sweep", description="Many runs of one experiment.")
    parser.add_argument("experiment", help="family of experiments, such as komplexnet")
    parser.add_argument("--config", action="append", required=True, metavar="FILE[:VARIANT]", help="may be repeated")
    parser.add_argument(
        "--grid",
        action="append",
        default=[],
        metavar="KEY=V1,V2,...",
        help="an entry of the config, models or tests, with values (several models: models=a,(b,c)); may be repeated",
    )
    parser.add_argument("--workdir", type=engine.user_path, required=True, help="the same command continues it")
    parser.add_argument("--shard", default="0/1", metavar="I/N", help="every N-th run from the I-th on, for array jobs")
    parser.add_argument("--report_only", action="store_true", help="rebuild sweep.md and sweep.csv, and run nothing")
    options, rest = parser.parse_known_args(argv)
    if unknown := [word for word in rest if not word.startswith(_OVERRIDES)]:
        raise engine.UsageError(f"unexpected argument {unknown[0]!r}")
    return argparse.Namespace(**vars(options), overrides=rest)


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status: 0 done, 1 a run failed, 2 unusable command or workdir, 130 and 143 stopped by a signal."""
    try:
        options = parse(argv)
        failed = sweep.run(
            sweep.program(options.experiment),
            sweep.points(options.config, sweep.parse_grid(options.grid)),
            options.workdir,
            shard=sweep.parse_shard(options.shard),
            arguments=options.overrides,
            report_only=options.report_only,
        )
    except (engine.UsageError, engine.RunError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, engine.UsageError) else 1
    except engine.Interrupted as error:
        print(f"{error}; the same command continues", file=sys.stderr)
        return 128 + error.signum
    if failed:
        print(f"error: {len(failed)} runs failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
