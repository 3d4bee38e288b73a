"""The page itself: a template, its style and its scripts, with the data of the runs inside."""

import html
import json
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from experiments import engine
from experiments.report import markup, runs, scenes
from experiments.report.runs import Page
from oscnets.plotting import CLASS_COLOURS, phase_colours

LIMIT = 10_000_000  # bytes of the page
FIGURES = 0.5  # share of them for the figures of all runs
SCRIPTS = ("data.js", "pictures.js", "viewer.js", "main.js")
_SLOT = re.compile(r"<!-- (\w+) -->")
# Status of a claim -> its class and mark; any other text is shown without a colour.
_STATUS = {
    "reproduced": ("yes", "✓"),
    "in part": ("part", "◐"),
    "not reproduced": ("no", "✗"),
    "not run": ("open", "○"),
}

Samples = dict[str, dict[str, Any]]  # packed, by model


def write(folders: Sequence[Path], out: Path, limit: int = LIMIT) -> int:
    """Write the page of some runs, with as much of their samples as fits; its size in bytes.

    Raises:
        UsageError: a folder holds nothing to show, or the name of the page ends in neither .html nor .htm.
        RunError: the content of a folder is damaged, or the page is too large with the fewest samples.
    """
    if engine.user_path(out).suffix.lower() not in (".html", ".htm"):
        raise engine.UsageError(f"{out}: the page is HTML, expected a name that ends in .html or .htm")
    pages = [runs.read(folder) for folder in folders]
    samples = [scenes.read(folder) for folder in folders]
    budget = int(FIGURES * limit / len(pages))
    sections = [_section(number, pages[number], bool(samples[number]), budget) for number in range(len(pages))]
    for reduction in scenes.REDUCTIONS:
        packed = [_packed(page, arrays, reduction) for page, arrays in zip(pages, samples, strict=True)]
        content = render(pages, sections, packed).encode()
        if len(content) <= limit:
            engine.write_atomically(out, content)
            return len(content)
    raise engine.RunError(f"the page would have {len(content)} bytes, expected at most {limit}: give fewer folders")


def _packed(page: Page, arrays: dict[str, scenes.Sample], reduction: scenes.Reduction) -> Samples:
    packed = {name: scenes.pack(sample, reduction) for name, sample in arrays.items()}
    return {name: packed[name] for name in engine.in_order(packed, page.models)}


def render(pages: Sequence[Page], sections: Sequence[str], samples: Sequence[Samples]) -> str:
    """The page's HTML, from the runs, their sections and their packed samples."""
    style, template = _asset("page.css"), _asset("page.html")
    data = {
        "runs": [{"title": page.title, "samples": packed} for page, packed in zip(pages, samples, strict=True)],
        "wheel": _hex(phase_colours(np.arange(256) / 256 * 2 * np.pi)),
        "classes": list(CLASS_COLOURS),
    }
    # A "</script>" inside the data would end it.
    encoded = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    slots = {
        "style": f"<style>\n{style}</style>",
        "title": html.escape(" · ".join(page.title for page in pages)),
        "contents": _contents(pages) if len(pages) > 1 else "",
        "runs": "\n".join(sections),
        "data": f'<script type="application/json" id="data">{encoded}</script>',
        "scripts": "<script>\n'use strict';\n(() => {\n" + "".join(map(_asset, SCRIPTS)) + "})();\n</script>",
    }
    return _SLOT.sub(lambda match: slots[match[1]], template)


def _contents(pages: Sequence[Page]) -> str:
    links = (f'<a href="#run{number}">{html.escape(page.title)}</a>' for number, page in enumerate(pages))
    return f'<nav aria-label="Runs">{"".join(links)}</nav>'


def _section(number: int, page: Page, with_viewer: bool, budget: int) -> str:
    """The section of a run; the scripts fill its viewer in."""
    parts = [f'<h2 id="run{number}-title">{html.escape(page.title)}</h2>']
    if page.missing:
        parts.append(f'<p class="missing">{html.escape(" ".join(page.missing))}</p>')
    if with_viewer:
        parts.append(f'<div class="viewer" data-run="{number}"></div>')
    if page.claims:
        parts.append(_claims(page))
    if page.figures:
        parts.append(_figures(page, budget))
    if page.tables:
        parts.append("<h3>Scores</h3>")
        parts += (f"<details><summary>{html.escape(name)}</summary>{body}</details>" for name, body in page.tables)
    if page.facts:
        rows = "".join(f"<dt>{html.escape(name)}</dt><dd>{text}</dd>" for name, text in page.facts)
        parts.append(f"<details><summary>How it was run</summary><dl>{rows}</dl></details>")
    return f'<section id="run{number}" aria-labelledby="run{number}-title">{"".join(parts)}</section>'


def _claims(page: Page) -> str:
    rows = "".join(
        f'<tr><th scope="row">{claim.claim}</th><td>{_status(claim.status)}</td><td>{claim.verdict}</td></tr>'
        for claim in page.claims
    )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("claim", "status", "verdict"))
    table = f'<table class="claims"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    return f"<h3>Claims of the paper</h3>{markup.wide(table, 'Claims of the paper')}"


def _status(status: str) -> str:
    kind, mark = _STATUS.get(status, ("open", ""))
    return f'<span class="status {kind}">{f"{mark} {html.escape(status)}".strip()}</span>'


def _figures(page: Page, budget: int) -> str:
    shown = dict(runs.embedded(page.figures, budget))
    pictures = "".join(
        f'<figure><img src="{uri}" alt="{_words(path)}"><figcaption>{_words(path)}</figcaption></figure>'
        for path, uri in shown.items()
    )
    left_out = [path.name for path in page.figures if path not in shown]
    note = f"<p>Not shown, for the size of the page: {html.escape(', '.join(left_out))}.</p>" if left_out else ""
    return f'<h3>Figures</h3><div class="figures">{pictures}</div>{note}'


def _words(path: Path) -> str:
    return html.escape(path.stem.replace("_", " "))


def _hex(colours) -> list[str]:
    return ["#{:02x}{:02x}{:02x}".format(*colour) for colour in np.rint(255 * colours).astype(int)]


def _asset(name: str) -> str:
    return files("experiments.report").joinpath("assets", name).read_text(encoding="utf-8")
