"""One self-contained HTML page of one or more runs: claims, scenes that play, curves, tables.

python -m experiments.report DIR [DIR ...]

`runs` reads a folder, `claims` its verdicts, `scenes` packs what the viewer shows, `page` writes the file.
"""

from experiments.report.page import LIMIT, write

__all__ = ["LIMIT", "write"]
