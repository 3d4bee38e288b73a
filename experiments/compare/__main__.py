"""The command line of the family compare; --help lists its entries."""

import sys

from experiments import engine
from experiments.compare.specs import FAMILY

if __name__ == "__main__":
    sys.exit(engine.main(FAMILY))
