"""What the page tells of one folder, but for its scenes."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.engine import RunError, UsageError
from experiments.engine.record.results import TRAINING_SPLITS, Metrics, history, in_order, load_config, load_metrics
from experiments.engine.record.summary import summarize
from experiments.report import claims

Summary = dict[str, Any]


def read(folder: Path) -> dict[str, Any]:
    """A run: title, facts, claims, models, missing, curves and tables.

    A folder of results may lack metrics.jsonl, and then has no learning curves; one with nothing but claims has these.

    Raises:
        UsageError: nothing of it can be shown.
        RunError: summary.json or metrics.jsonl is damaged.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UsageError(f"no folder {folder}")
    found = claims.read(folder)
    metrics = load_metrics(folder) if (folder / "metrics.jsonl").is_file() else {}
    summary = _summary(folder, metrics)
    if summary is None and not found:
        raise UsageError(f"{folder} holds neither summary.json nor metrics.jsonl nor a table of claims: is it a run?")
    page = {"title": folder.resolve().name, "facts": [], "claims": [claim._asdict() for claim in found]}
    if summary is None:
        return page | {"models": [], "missing": [], "curves": [], "tables": []}
    return page | {
        "title": _title(summary["run"]) or page["title"],
        "facts": list(_facts(summary["run"])),
        "models": summary["models"],
        "missing": summary["missing"],
        "curves": [*_over_dynamics(summary), *_over_training(metrics, summary["models"])],
        "tables": list(_tables(summary)),
    }


def _summary(folder: Path, metrics: Metrics) -> Summary | None:
    path = folder / "summary.json"
    if not path.is_file():
        return summarize(metrics, load_config(folder)) if metrics else None
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise RunError(f"{path} is no JSON: {error}") from error


def _title(run: Mapping[str, Any]) -> str:
    return ": ".join(str(run[key]) for key in ("experiment", "variant") if run.get(key))


def _facts(run: Mapping[str, Any]) -> Iterator[list[str]]:
    """Rows of what was run: name, text."""
    told = {"command": run["command"], "seeds": run["seeds"], "training": run["train"], "data": run["data"]}
    told |= {"hardware": run["device"], "versions": run["versions"], "commit": run["commit"]}
    if run.get("wall_seconds") is not None:
        told["wall time"] = f"{run['wall_seconds'] / 60:.0f} min"
    for name, value in told.items():
        if isinstance(value, Mapping):
            value = ", ".join(f"{key} {entry}" for key, entry in value.items() if entry not in (None, ""))
        if value is not None:
            yield [name, str(value)]


def _over_dynamics(summary: Summary) -> Iterator[dict[str, Any]]:
    """A chart a test set and metric that changes over the steps of the dynamics."""
    for split, by_metric in summary["results"].items():
        for metric, by_model in by_metric.items():
            if any(entry["steps"] and len(entry["steps"]) > 1 for entry in by_model.values()):
                series = [
                    {"model": model, "x": entry["steps"], "mean": entry["mean"], "std": entry["std"]}
                    for model, entry in by_model.items()
                ]
                yield {
                    "group": "over the steps of the dynamics",
                    "label": f"{split}: {metric}",
                    "x": "step of the dynamics",
                    "y": metric.replace("_", " "),
                    "chance": chance(summary, split).get(metric),
                    "series": series,
                }


def _over_training(metrics: Metrics, models: list[str]) -> Iterator[dict[str, Any]]:
    """A chart a metric of training and validation."""
    for split in TRAINING_SPLITS:
        for metric in in_order(name for model in metrics.values() for name in model.get(split, {})):
            series = []
            for model in models:
                steps, values = history(metrics, model, split, metric)
                if len(steps) > 1:
                    thin = np.unique(np.linspace(0, len(steps) - 1, min(len(steps), 150)).astype(int))
                    mean, std = _spread(values[:, thin])
                    series.append({"model": model, "x": steps[thin].tolist(), "mean": mean, "std": std})
            if series:
                yield {
                    "group": "over training",
                    "label": f"{split}: {metric}",
                    "x": "training step",
                    "y": metric.replace("_", " "),
                    "chance": None,
                    "series": series,
                }


def chance(summary: Summary, split: str) -> dict[str, float]:
    """Level of guessing by metric on a test set; an older summary has one for all sets."""
    levels = summary["chance"]
    return levels.get(split, {}) if all(isinstance(level, Mapping) for level in levels.values()) else levels


def _tables(summary: Summary) -> Iterator[dict[str, Any]]:
    """A table a metric: models by test sets, at the first, the middle and the last step of the dynamics."""
    splits = summary["splits"]
    for metric in in_order(name for split in splits for name in summary["results"][split]):
        rows = []
        for model in summary["models"]:
            entries = [summary["results"][split].get(metric, {}).get(model) for split in splits]
            length = max((len(entry["steps"] or []) for entry in entries if entry), default=0)
            for step in sorted({1, length // 2, length} - {0}) or [None]:
                if any(entries):
                    name = model if length <= 1 else f"{model}, step {step}"
                    rows.append([name, *(_cell(entry, step) for entry in entries)])
        yield {"metric": metric.replace("_", " "), "head": ["model", *splits], "rows": rows}


def _cell(entry: Mapping[str, Any] | None, step: int | None) -> str:
    if entry is None or (entry["steps"] and step is not None and step > len(entry["steps"])):
        return ""
    index = -1 if step is None or not entry["steps"] else step - 1
    mean, std = entry["mean"][index], entry["std"][index]
    if mean is None:
        return "undefined"
    return _number(mean) if std is None else f"{_number(mean)} ± {_number(std)}"


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 1e4 else f"{value:.2e}"


def _spread(values: np.ndarray) -> tuple[list, list]:
    """Mean and standard deviation over seeds (S, N), None where undefined."""
    rows = []
    for column in values.T:
        known = column[np.isfinite(column)]
        mean = float(known.mean()) if known.size else None
        std = float(known.std(ddof=1)) if known.size > 1 else None
        rows.append([None if x is None else float(f"{x:.5g}") for x in (mean, std)])
    return [row[0] for row in rows], [row[1] for row in rows]
