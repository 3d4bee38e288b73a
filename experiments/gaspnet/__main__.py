"""The command line: python -m experiments.gaspnet --config=experiments/configs/gaspnet.py:digits."""

import sys

from experiments import engine
from experiments.gaspnet.main import run
from experiments.gaspnet.settings import validate

if __name__ == "__main__":
    sys.exit(engine.main(run, name="gaspnet", validate=validate))
