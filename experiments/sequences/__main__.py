"""The command line of the family sequences; --help lists its entries."""

import sys

from experiments import engine
from experiments.sequences.specs import FAMILY

if __name__ == "__main__":
    sys.exit(engine.main(FAMILY))
