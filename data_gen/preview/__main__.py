"""Contact sheets: python -m data_gen.preview --set=NAME --workdir=DIR draws samples of a set beside their masks.

The sets are listed by --help: those made from base images, and the base images themselves.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from data_gen import sources
from data_gen._tools import paths
from data_gen.multi_mnist import MEASURES
from data_gen.preview import drawing, sheets


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the sheet that the command line asks for; returns 0, or 2 after one line that says what is wrong."""
    try:
        options = parser().parse_args(arguments)
        if (options.workdir is None) == (options.out is None):
            raise ValueError("expected one of --workdir=DIR and --out=FILE")
        if options.out is not None:
            drawing.check_ending(options.out)
        sheet = sheets.of(options)
        if options.workdir is not None:
            options.workdir.mkdir(parents=True, exist_ok=True)
        drawing.draw(sheet, options.out or options.workdir / f"{options.set}.png")
    except (ValueError, OSError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line's flags; misuse raises ValueError."""
    parser = _Parser(prog="python -m data_gen.preview", description="Draw samples of a data set.", allow_abbrev=False)
    add = parser.add_argument
    add("--set", required=True, metavar="NAME", help=f"one of {', '.join(sheets.SETS)}")
    add("--workdir", type=paths.user_path, metavar="DIR", help="folder for the sheet NAME.png")
    add("--out", type=paths.user_path, metavar="FILE", help="the sheet (.png, .pdf, .svg, ...), instead of --workdir")
    add("--source", default="digits", help="base images of the scenes: one of " + ", ".join(sources.NAMES))
    add("--background", default="textures", help="background pictures: cifar10, or textures, which need no download")
    add("--split", default="test", help="one of " + ", ".join(sources.SPLITS))
    add("--data_dir", default=None, metavar="DIR", help="folder of prepared TFDS sets")
    add("--seed", default=0, type=int)
    add("--num_examples", default=12, type=int, help="samples on the sheet")
    add("--num_digits", default=2, type=int, help="digits per scene, 2 to 9")
    add("--num_shapes", default=4, type=int, help="shapes per picture, 1 to 10")
    add("--max_overlap", default=0.0, type=float, help="0: bounding boxes apart (moving digits: 0.25)")
    add("--min_overlap", default=0.0, type=float, help="exclusive")
    add("--overlap_measure", default="pixels", help="one of " + ", ".join(MEASURES))
    add("--colour", action="store_true", help="scenes on pictures, and shapes, in colour, not in grey")
    add("--item_size", default=28, type=int, help="side of an overlaid item, 1 to 32")
    return parser


if __name__ == "__main__":
    sys.exit(main())
