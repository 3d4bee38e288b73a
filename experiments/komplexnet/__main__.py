"""The command line of the family komplexnet; --help lists its entries."""

import sys

from experiments import engine
from experiments.komplexnet.specs import FAMILY

if __name__ == "__main__":
    sys.exit(engine.main(FAMILY))
