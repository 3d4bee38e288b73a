"""experiments/results/README.md: every claim with its run, its number with an interval over seeds, and a verdict.

All numbers are read from the committed summaries. A claim is a difference that the paper says is positive, negative or
small; the verdict is the interval's, so that a mean on the right side does not suffice: `reproduced` where the 95 %
interval of the mean over seeds lies wholly on the right side, `contrary` where wholly on the other, else `open`.
"""

from experiments.results_table.claim import RESULTS, Claim, Estimate, Run, ratio_of_spreads, verdict
from experiments.results_table.deciding import DECIDERS
from experiments.results_table.page import CLAIMS, outcome, table

__all__ = [
    "CLAIMS",
    "DECIDERS",
    "RESULTS",
    "Claim",
    "Estimate",
    "Run",
    "outcome",
    "ratio_of_spreads",
    "table",
    "verdict",
]
