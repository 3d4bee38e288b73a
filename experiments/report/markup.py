"""HTML for the Markdown that the project writes: headings, paragraphs, lists, tables and details."""

import html
import re
from collections.abc import Iterator, Sequence

_LINK = re.compile(r"\[([^\]]+)\]\((https?://[^)\s]+)\)")
_PLACE = re.compile(r"\[([^\]]+)\]\([^)]+\)")  # a link to a file, which a page elsewhere could not follow
_BOLD = re.compile(r"\*\*(.+?)\*\*")
_CODE = re.compile(r"`([^`]+)`")
_CELL_END = re.compile(r"(?<!\\)\|")
_DETAILS = re.compile(r"<details><summary>([\w ]+)</summary>|</details>")


def inline(text: str) -> str:
    """Bold, code and links of one line of Markdown as HTML; everything else escaped."""
    text = html.escape(text.replace("\\|", "|"), quote=False)
    text = _LINK.sub(r'<a href="\2">\1</a>', text)
    text = _PLACE.sub(r"\1", text)
    return _CODE.sub(r"<code>\1</code>", _BOLD.sub(r"<strong>\1</strong>", text))


def cells(line: str) -> list[str]:
    """The cells of a line of a Markdown table, in Markdown."""
    return [cell.strip() for cell in _CELL_END.split(line.strip().removeprefix("|").removesuffix("|"))]


def is_rule(row: Sequence[str]) -> bool:
    """Whether a row is the line between the head of a table and its body."""
    return all(cell and set(cell) <= set(":-") for cell in row)


def blocks(text: str) -> Iterator[str]:
    """Headings, tables, lists, paragraphs and details of a Markdown text, as HTML; each block ends at an empty line."""
    for block in re.split(r"\n{2,}", text.strip()):
        lines = block.splitlines()
        if _DETAILS.fullmatch(block):
            yield block
        elif block.startswith("#"):
            level = len(block) - len(block.lstrip("#"))
            yield f"<h{level + 1}>{inline(block.lstrip('# '))}</h{level + 1}>"
        elif block.startswith("|"):
            yield table([cells(line) for line in lines])
        elif block.startswith("- "):
            yield "<ul>" + "".join(f"<li>{inline(line.removeprefix('- '))}</li>" for line in lines) + "</ul>"
        else:
            yield f"<p>{inline(' '.join(lines))}</p>"


def table(rows: Sequence[Sequence[str]], label: str = "Values") -> str:
    """A table from rows of Markdown cells, head first; it scrolls by itself in a narrow window, also by keyboard."""
    head, *body = (row for row in rows if not is_rule(row))
    columns = "".join(f'<th scope="col">{inline(cell)}</th>' for cell in head)
    lines = (
        f'<tr><th scope="row">{inline(first)}</th>{"".join(f"<td>{inline(cell)}</td>" for cell in rest)}</tr>'
        for first, *rest in body
    )
    inner = f'<table class="scores"><thead><tr>{columns}</tr></thead><tbody>{"".join(lines)}</tbody></table>'
    return wide(inner, label)


def wide(inner: str, label: str) -> str:
    """A region that scrolls sideways."""
    return f'<div class="wide" role="region" tabindex="0" aria-label="{html.escape(label)}">{inner}</div>'
