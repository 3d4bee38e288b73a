"""The command line: python -m experiments.waves --config=experiments/configs/waves.py:tetrominoes."""

import sys

from experiments import engine
from experiments.waves.main import run
from experiments.waves.settings import validate

if __name__ == "__main__":
    sys.exit(engine.main(run, name="waves", validate=validate))
