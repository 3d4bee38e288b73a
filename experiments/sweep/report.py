"""The report of a sweep: sweep.md and sweep.csv, rebuilt at any time from the summary.json of its runs."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments import engine

Row = dict[str, Any]
_LEAD = ("point", "config")
_VALUES = ("split", "metric", "model", "seeds", "mean", "std")


def build(workdir: Path, experiment: str, points: Sequence[Any]) -> None:
    """Write sweep.csv, one row per point, test set, metric and model, and sweep.md, one table per metric.

    Args:
        workdir: the sweep's folder.
        experiment: its name.
        points: of `sweep.Point`, all of them; those without a summary.json are listed as missing.
    """
    keys = list(dict.fromkeys(key for point in points for key in point.changes))
    summaries = {point.name: _summary(workdir / "runs" / point.name) for point in points}
    rows = [row for point in points for row in _rows(point, summaries[point.name])]
    engine.write_atomically(workdir / "sweep.csv", _csv(rows, keys).encode(), shared=True)
    text = _markdown(experiment, points, keys, summaries, rows)
    engine.write_atomically(workdir / "sweep.md", text.encode(), shared=True)


def _summary(folder: Path) -> Mapping[str, Any] | None:
    try:
        return json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _rows(point: Any, summary: Mapping[str, Any] | None) -> Iterator[Row]:
    """At the last step of the dynamics; undefined numbers are None."""
    results = summary["results"] if summary else {}
    for split, metrics in results.items():
        for metric, models in metrics.items():
            for model, entry in models.items():
                last = {key: entry[key][-1] for key in ("mean", "std")} | {"seeds": entry["n"][-1]}
                lead = {"point": point.name, "config": point.config, **point.changes}
                yield lead | {"split": split, "metric": metric, "model": model} | last


def _csv(rows: Sequence[Row], keys: Sequence[str]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, [*_LEAD, *keys, *_VALUES], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _markdown(experiment, points, keys, summaries, rows) -> str:
    missing = [name for name, summary in summaries.items() if summary is None]
    unfinished = [name for name, summary in summaries.items() if summary and summary["missing"]]
    lines = [f"# Sweep of {experiment}: {len(points) - len(missing)} of {len(points)} points", ""]
    lines += [f"- **No results yet:** {name}" for name in missing]
    lines += [f"- **Not finished:** {name}: {' '.join(summaries[name]['missing'])}" for name in unfinished]
    lines += ["", "Mean ± standard deviation over seeds, at the last step of the dynamics."]
    for split, metric in dict.fromkeys((row["split"], row["metric"]) for row in rows):
        chosen = [row for row in rows if (row["split"], row["metric"]) == (split, metric)]
        models = list(dict.fromkeys(row["model"] for row in chosen))
        lines += ["", f"## {split}: {metric}", "", _table(points, keys, models, chosen)]
    return "\n".join(lines) + "\n"


def _table(points, keys, models, rows) -> str:
    cells = {(row["point"], row["model"]): engine.markdown.mean_std(row["mean"], row["std"]) for row in rows}
    several = len({point.config for point in points}) > 1
    head = [*(["config"] if several else []), *keys, *models]
    lines = []
    for point in points:
        lead = [*([point.config] if several else []), *(point.changes.get(key, "") for key in keys)]
        lines.append([*lead, *(cells.get((point.name, model), "") for model in models)])
    return engine.markdown.table(head, lines)
