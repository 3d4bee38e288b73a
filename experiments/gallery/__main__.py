"""`python -m experiments.gallery --workdir=DIR`: pictures and films of simulated oscillators. See --help."""

import argparse
import sys
from collections.abc import Sequence

from experiments import engine
from experiments.gallery import chimera, delays, segmentation, transition, wave
from oscnets import plotting

FIGURES = {module.__name__.rsplit(".", 1)[-1]: module for module in (transition, chimera, wave, delays, segmentation)}


def main(argv: Sequence[str] | None = None) -> int:
    """Draw what the command line asks for; the exit status."""
    parser = engine.Parser(prog="python -m experiments.gallery", description="Pictures of simulated oscillators.")
    parser.add_argument("--workdir", type=engine.user_path, required=True, help="folder for NAME.png and NAME.gif")
    parser.add_argument("--only", choices=FIGURES, nargs="+", default=list(FIGURES), help="names of figures")
    parser.add_argument("--small", action="store_true", help="tiny simulations, to see that all of it runs")
    return parser.run(draw, argv)


def draw(options: argparse.Namespace) -> None:
    """Simulate, draw and write each figure and its animation."""
    engine.make_workdir(options.workdir)
    for name in options.only:
        module = FIGURES[name]
        plotting.save(module.figure(small=options.small), options.workdir / f"{name}.png", dpi=110)
        animation = module.animation(small=options.small)
        plotting.save_animation(animation, options.workdir / f"{name}.gif", fps=8, hold=4)
        print(options.workdir / f"{name}.png", flush=True)


if __name__ == "__main__":
    sys.exit(main())
