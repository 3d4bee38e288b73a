"""`python -m experiments.accelerator`: see --help."""

import sys

from experiments.accelerator import packages

if __name__ == "__main__":
    packages.use_of(sys.argv[1:])  # before anything is imported that may be missing
    from experiments.accelerator import run

    sys.exit(run.main())
