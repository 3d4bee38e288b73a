"""Claims of the papers and whether they reproduced, from the Markdown tables of a results folder."""

from pathlib import Path
from typing import NamedTuple

from experiments import engine
from experiments.report.markup import cells, inline, is_rule

_COLUMNS = ("claim", "status", "verdict")


class Claim(NamedTuple):
    """A row of a table with these columns; `claim` and `verdict` are HTML."""

    claim: str
    status: str  # as it stands there: "reproduced", "in part", "not reproduced" or "not run"
    verdict: str


def read(folder: Path) -> list[Claim]:
    """The claims of every Markdown file of a folder, in order."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(engine.user_path(folder).glob("*.md"))]
    return [claim for text in texts for claim in parse(text)]


def parse(text: str) -> list[Claim]:
    """The claims of a Markdown text: rows of the tables that have the columns claim, status and verdict."""
    claims: list[Claim] = []
    head: list[str] | None = None
    for line in text.splitlines():
        if not line.lstrip().startswith("|"):
            head = None
            continue
        row = cells(line)
        if head is None:
            head = [cell.lower() for cell in row]
        elif set(_COLUMNS) <= set(head) and len(row) == len(head) and not is_rule(row):
            claim, status, verdict = (row[head.index(name)] for name in _COLUMNS)
            claims.append(Claim(inline(claim), status, inline(verdict)))
    return claims
