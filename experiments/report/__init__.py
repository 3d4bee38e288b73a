"""One self-contained HTML page of one or more runs: scenes that play, claims, figures, tables.

python -m experiments.report DIR [DIR ...]

`runs` reads a folder, `claims` its claims, `scenes` packs the samples for the viewer, `page` writes the file.
"""

from experiments.report.page import LIMIT, write

__all__ = ["LIMIT", "write"]
