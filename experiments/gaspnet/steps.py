"""Every GASPnet against the baseline at every step: two-sided t-tests (Benjamini-Yekutieli), table and figure."""

import json
from pathlib import Path
from typing import Any

from experiments.engine.results import TRAINING_SPLITS, in_order, last_values, load_config, load_metrics
from oscnets import stats

METRICS = ("accuracy", "exact_match", "item", "picture")


def compare(workdir: Path) -> list[dict[str, Any]]:
    """One entry a GASPnet, test set, metric and step, of Welch's test against the baseline's seeds.

    Entries hold model, split, metric, step (1 to T), mean, baseline (its mean), difference, p, and p_adjusted: all
    tests of a model are one family. Undefined numbers are None.
    """
    metrics = load_metrics(workdir)
    found = []
    for model in in_order(metrics, load_config(workdir)["config"]["models"]):
        if model != "baseline" and "baseline" in metrics:
            family = _tests(metrics, model)
            adjusted = stats.benjamini_yekutieli([test["p"] for test in family])
            found += [test | {"p_adjusted": p} for test, p in zip(family, adjusted, strict=True)]
    return [{key: None if value != value else value for key, value in test.items()} for test in found]


def _tests(metrics, model: str) -> list[dict[str, Any]]:
    tests = []
    for split in metrics[model]:
        for name in METRICS:
            (_, ours), (_, theirs) = (last_values(metrics, each, split, name) for each in (model, "baseline"))
            if split in TRAINING_SPLITS or not ours.size or not theirs.size:
                continue
            for step, values in enumerate(ours.T, 1):
                result = stats.independent_t_test(values, theirs[:, -1])
                entry = {"model": model, "split": split, "metric": name, "step": step}
                means = {"mean": float(values.mean()), "baseline": float(theirs[:, -1].mean())}
                tests.append(entry | means | {"difference": result.difference, "p": result.p_value})
    return tests


def write(workdir: Path) -> None:
    """steps.json with the tests, steps.md with a line a model, test set and metric."""
    tests = compare(workdir)
    (workdir / "steps.json").write_text(json.dumps(tests, indent=1) + "\n")
    (workdir / "steps.md").write_text(markdown(tests))


def markdown(tests: list[dict[str, Any]]) -> str:
    """Means over seeds in percent at every step; * where a step differs from the baseline, adjusted p < 0.05."""
    lines = ["Mean in percent; * differs from the baseline (Welch, Benjamini-Yekutieli, p < 0.05).", ""]
    rows: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for test in tests:
        rows.setdefault((test["split"], test["metric"], test["model"]), []).append(test)
    steps = max((len(row) for row in rows.values()), default=0)
    lines.append(f"| test set | metric | model | baseline | {' | '.join(f'step {i + 1}' for i in range(steps))} |")
    lines.append("| --- " * (4 + steps) + "|")
    for key, row in sorted(rows.items()):
        cells = [f"{100 * row[0]['baseline']:.1f}", *map(_cell, row)]
        lines.append(f"| {' | '.join((*key, *cells))} |")
    return "\n".join(lines) + "\n"


def _cell(test: dict[str, Any]) -> str:
    certain = test["p_adjusted"] is not None and test["p_adjusted"] < 0.05
    return f"{100 * test['mean']:.1f}{'*' if certain else ''}"
