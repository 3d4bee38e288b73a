"""Values of runs that are kept, as pages write them."""

from pathlib import Path

import numpy as np

from experiments import results_table
from oscnets import stats

RESULTS = Path("experiments/results")


def read(page):
    """A page's text on one line."""
    return " ".join(Path(page).read_text(encoding="utf-8").split())


class Numbers:
    """A run's values, as pages write them."""

    def __init__(self, folder):
        self.run = results_table.Run(RESULTS / folder)

    def values(self, model, split, step=None, metric="accuracy"):
        return np.array(list(self.run.values(model, split, metric, step).values()))

    def mean(self, model, split, step=None, metric="accuracy"):
        return f"{self.values(model, split, step, metric).mean():z.3f}"

    def spread(self, model, split, step=None, metric="accuracy"):
        values = self.values(model, split, step, metric)
        return f"{values.mean():.3f} ± {values.std(ddof=1):.3f}"

    def gap(self, first, second):
        """Mean difference of two lists of arguments of `values`."""
        return float((self.values(*first) - self.values(*second)).mean())

    def points(self, first, second):
        return f"{100 * self.gap(first, second):+.1f}"

    def p(self, first, second, digits=3):
        return f"{stats.paired_t_test(self.values(*first), self.values(*second)).p_value:.{digits}f}"
