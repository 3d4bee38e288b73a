"""The command line: python -m experiments.komplexnet --config=experiments/configs/komplexnet.py:digits."""

import sys

from experiments import engine
from experiments.komplexnet.main import run
from experiments.komplexnet.settings import validate

if __name__ == "__main__":
    sys.exit(engine.main(run, name="komplexnet", validate=validate))
