"""`python -m experiments.bench.worker MODULE:FUNCTION OPTIONS`: the process of one side; started by the harness."""

import json
import sys

from experiments.bench import harness

if __name__ == "__main__":
    harness.serve(sys.argv[1], json.loads(sys.argv[2]))
