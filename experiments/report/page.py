"""The page itself: a template, its style and its scripts, with the data of the runs inside."""

import html
import json
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from experiments.engine import RunError
from experiments.engine.record.results import in_order
from experiments.engine.run.workdir import write_atomically
from experiments.report import runs, scenes
from oscnets.plotting import CLASS_COLOURS, phase_colours

LIMIT = 10_000_000  # bytes of the page
SCRIPTS = ("data.js", "pictures.js", "viewer.js", "curves.js", "main.js")
_SLOT = re.compile(r"<!-- (\w+) -->")


def write(folders: Sequence[Path], out: Path, limit: int = LIMIT) -> int:
    """Write the page of some runs, with as much of their samples as fits; its size in bytes.

    Raises:
        UsageError: a folder holds nothing to show.
        RunError: what a folder holds is damaged, or the page would be too large with the fewest samples.
    """
    pages = [runs.read(folder) for folder in folders]
    samples = [scenes.read(folder) for folder in folders]
    for reduction in scenes.REDUCTIONS:
        for page, arrays in zip(pages, samples, strict=True):
            packed = {name: scenes.pack(entry, reduction) for name, entry in arrays.items()}
            page["samples"] = {name: packed[name] for name in in_order(packed, page["models"])}
        content = render(pages).encode()
        if len(content) <= limit:
            write_atomically(Path(out), content)
            return len(content)
    raise RunError(f"the page would have {len(content)} bytes, expected at most {limit}: give fewer folders")


def render(pages: Sequence[dict[str, Any]]) -> str:
    """The page's HTML."""
    style, template = _asset("page.css"), _asset("page.html")
    data = {
        "runs": [{"title": page["title"], "curves": page["curves"], "samples": page["samples"]} for page in pages],
        "wheel": _hex(phase_colours(np.arange(256) / 256 * 2 * np.pi)),
        "classes": list(CLASS_COLOURS),
    }
    # A "</script>" inside the data would end it.
    encoded = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    slots = {
        "style": f"<style>\n{style}</style>",
        "title": html.escape(" · ".join(page["title"] for page in pages)),
        "contents": _contents(pages) if len(pages) > 1 else "",
        "runs": "\n".join(_run(number, page) for number, page in enumerate(pages)),
        "data": f'<script type="application/json" id="data">{encoded}</script>',
        "scripts": "<script>\n'use strict';\n(() => {\n" + "".join(map(_asset, SCRIPTS)) + "})();\n</script>",
    }
    return _SLOT.sub(lambda match: slots[match[1]], template)


def _contents(pages) -> str:
    links = (f'<a href="#run{number}">{html.escape(page["title"])}</a>' for number, page in enumerate(pages))
    return f'<nav aria-label="Runs">{"".join(links)}</nav>'


def _run(number: int, page: dict[str, Any]) -> str:
    """A section a run; the viewer and the curves are filled in by the scripts."""
    parts = [f'<h2 id="run{number}-title">{html.escape(page["title"])}</h2>']
    if page["missing"]:
        parts.append(f'<p class="missing">{html.escape(" ".join(page["missing"]))}</p>')
    if page["samples"]:
        parts.append(f'<div class="viewer" data-run="{number}"></div>')
    if page["claims"]:
        parts.append(_claims(page["claims"]))
    if page["curves"]:
        parts.append(f'<div class="curves" data-run="{number}"></div>')
    if page["tables"]:
        parts.append("<h3>Scores</h3><p>Mean ± standard deviation over seeds.</p>")
        parts.extend(_scores(table, opened=not i) for i, table in enumerate(page["tables"]))
    if page["facts"]:
        rows = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd>" for name, text in page["facts"])
        parts.append(f"<details><summary>How it was run</summary><dl>{rows}</dl></details>")
    return f'<section id="run{number}" aria-labelledby="run{number}-title">{"".join(parts)}</section>'


_VERDICTS = {"yes": "✓ holds", "part": "◐ in part", "no": "✗ does not hold", "open": "○ open"}


def _claims(claims) -> str:
    rows = "".join(
        f'<tr><th scope="row">{claim["claim"]}</th><td><span class="verdict {claim["kind"]}">'
        f"{_VERDICTS[claim['kind']]}</span></td><td>{claim['verdict']}</td></tr>"
        for claim in claims
    )
    head = '<tr><th scope="col">claim</th><th scope="col">verdict</th><th scope="col">what was measured</th></tr>'
    return _wide(f'<table class="claims"><thead>{head}</thead><tbody>{rows}</tbody></table>', "What reproduced", "h3")


def _scores(table, opened: bool) -> str:
    head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in table["head"])
    rows = "".join(
        f'<tr><th scope="row">{html.escape(row[0])}</th>'
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in table["rows"]
    )
    inner = f'<table class="scores"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    title = html.escape(table["metric"])
    return f"<details{' open' if opened else ''}><summary>{title}</summary>{_wide(inner, title)}</details>"


def _wide(table: str, label: str, heading: str = "") -> str:
    """A table that scrolls by itself where the window is narrow, by keyboard too."""
    title = f"<{heading}>{label}</{heading}>" if heading else ""
    return f'{title}<div class="wide" role="region" tabindex="0" aria-label="{label}">{table}</div>'


def _hex(colours) -> list[str]:
    return ["#{:02x}{:02x}{:02x}".format(*colour) for colour in np.rint(255 * colours).astype(int)]


def _asset(name: str) -> str:
    return files("experiments.report").joinpath("assets", name).read_text(encoding="utf-8")
