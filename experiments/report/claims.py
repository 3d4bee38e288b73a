"""Verdicts on claims, from the Markdown tables of a results folder."""

import html
import re
from pathlib import Path
from typing import NamedTuple

_LINK = re.compile(r"\[([^\]]+)\]\((https?://[^)\s]+)\)")
_PLACE = re.compile(r"\[([^\]]+)\]\([^)]+\)")  # a link that a page elsewhere could not follow
_BOLD = re.compile(r"\*\*(.+?)\*\*")
_CODE = re.compile(r"`([^`]+)`")
_CELL_END = re.compile(r"(?<!\\)\|")


class Claim(NamedTuple):
    """A row of a table with the columns "claim" and "verdict"; texts are HTML."""

    claim: str
    verdict: str
    kind: str  # "yes", "part", "no" or "open"


def read(folder: Path) -> list[Claim]:
    """The claims of every Markdown file of a folder, in order."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(Path(folder).glob("*.md"))]
    return [claim for text in texts for claim in parse(text)]


def parse(text: str) -> list[Claim]:
    """The claims of a Markdown text: tables whose head has a cell "claim" and a cell "verdict", in any case."""
    found: list[Claim] = []
    columns: tuple[int, int] | None = None
    for line in text.splitlines():
        if not line.lstrip().startswith("|"):
            columns = None
            continue
        cells = [cell.strip() for cell in _CELL_END.split(line.strip().strip("|"))]
        lower = [cell.lower() for cell in cells]
        if columns is None:
            columns = (lower.index("claim"), lower.index("verdict")) if {"claim", "verdict"} <= set(lower) else (-1, -1)
        elif columns[0] >= 0 and len(cells) > max(columns) and not set(cells[0]) <= set(":- "):
            claim, verdict = (cells[column] for column in columns)
            found.append(Claim(inline(claim), inline(verdict), kind(verdict)))
    return found


def kind(verdict: str) -> str:
    """What a verdict begins with: "reproduced" alone is yes, "not run" open, "not" is no, all else is in part."""
    said = re.sub(r"[*_`]", "", verdict).strip().lower()
    bold = _BOLD.match(verdict.strip())
    qualified = re.search(r"\b(in part|partly|where|only|direction|but|not)\b", bold[1].lower()) if bold else None
    if said.startswith("reproduced") and not qualified:
        return "yes"
    if re.match(r"not (yet )?(run|tested|measured)\b", said):
        return "open"
    return "no" if said.startswith(("not ", "no ", "failed", "the contrary")) else "part"


def inline(text: str) -> str:
    """Bold, code and links of one line of Markdown as HTML; all else escaped."""
    text = html.escape(text.replace("\\|", "|"), quote=False)
    text = _LINK.sub(r'<a href="\2">\1</a>', text)
    text = _PLACE.sub(r"\1", text)
    return _CODE.sub(r"<code>\1</code>", _BOLD.sub(r"<strong>\1</strong>", text))
