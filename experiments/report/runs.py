"""What the page shows of one folder, except its scenes: claims, figures and tables."""

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments import engine
from experiments.report import claims, markup

_FIRST = ("learning_curves", "over_time_(?!best)", "over_time_")  # patterns of the figures that come first, in order
_TYPES = {".png": "image/png", ".gif": "image/gif", ".svg": "image/svg+xml"}


class Page(NamedTuple):
    """A run, or a folder of results.

    Attributes:
        title: of the run, or the folder's name.
        claims: of its Markdown tables.
        models: labels, in order.
        missing: sentences about what is missing.
        facts: (name, HTML): how it was run.
        figures: files in the order of the page.
        tables: (heading, HTML), those of summary.md.
    """

    title: str
    claims: list[claims.Claim]
    models: Sequence[str] = ()
    missing: Sequence[str] = ()
    facts: Sequence[tuple[str, str]] = ()
    figures: Sequence[Path] = ()
    tables: Sequence[tuple[str, str]] = ()


def read(folder: Path) -> Page:
    """The page of a folder. A folder of results may hold claims and figures alone.

    Raises:
        UsageError: nothing of it can be shown.
        RunError: summary.json or metrics.jsonl is damaged.
    """
    folder = engine.user_path(folder)
    if not folder.is_dir():
        raise engine.UsageError(f"no folder {folder}")
    page = Page(folder.resolve().name, claims.read(folder), figures=_figures(folder))
    summary = _summary(folder)
    if summary is None:
        if not page.claims:
            raise engine.UsageError(
                f"{folder} holds neither summary.json nor metrics.jsonl nor a table of claims: is it a run?"
            )
        return page
    header, tables = _tables(engine.summary_text(summary))
    return page._replace(
        title=_title(summary["run"]) or page.title,
        models=summary["models"],
        missing=summary["missing"],
        facts=header,
        tables=tables,
    )


def _summary(folder: Path) -> engine.Summary | None:
    path = folder / "summary.json"
    if not path.is_file():
        if not (folder / "metrics.jsonl").is_file():
            return None
        return engine.summarize(engine.load_metrics(folder), engine.load_config(folder))
    try:
        return _migrated(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise engine.RunError(f"{path} is no JSON: {error}") from error


def _migrated(summary: engine.Summary) -> engine.Summary:
    """An earlier summary in today's form: it may lack the best seeds, and have one level of chance for all splits."""
    levels = summary["chance"]
    if not all(isinstance(level, Mapping) for level in levels.values()):
        levels = dict.fromkeys(["train", "validation", *summary["splits"]], levels)
    return {"best_seed": {}, **summary, "chance": levels}


def _title(run: Mapping[str, Any]) -> str:
    return ": ".join(str(run[key]) for key in ("experiment", "variant") if run.get(key))


def _tables(text: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Facts, and tables by heading, of the text of summary.md."""
    first, *sections = re.split(r"^## ", text, flags=re.MULTILINE)
    lines = (line.removeprefix("- ").partition(": ") for line in first.splitlines() if line.startswith("- "))
    facts = [(name, markup.inline(value)) for name, _, value in lines]
    return facts, [(heading, "".join(markup.blocks(body))) for heading, body in map(_parted, sections)]


def _parted(section: str) -> tuple[str, str]:
    heading, _, body = section.partition("\n")
    return heading.strip(), body


def _figures(folder: Path) -> list[Path]:
    """The pictures of a folder and of its figures/: curves over training and over the dynamics first."""
    paths = [path for place in (folder, folder / "figures") for path in sorted(place.glob("*"))]
    paths = [path for path in paths if path.suffix in _TYPES]
    return sorted(paths, key=_rank)


def _rank(path: Path) -> int:
    return next((rank for rank, pattern in enumerate(_FIRST) if re.match(pattern, path.name)), len(_FIRST))


def embedded(figures: Iterable[Path], budget: int) -> Iterator[tuple[Path, str]]:
    """File and data URI of the figures, in order, as long as their URIs have at most `budget` bytes in all."""
    for path in figures:
        content = base64.b64encode(path.read_bytes()).decode()
        if len(content) <= budget:
            budget -= len(content)
            yield path, f"data:{_TYPES[path.suffix]};base64,{content}"
