"""GASPnets compared with the baseline and with the full model at every step, as in the figures of the paper."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments import engine, groups
from experiments.engine import Table, markdown
from oscnets import stats

Entries = list[dict[str, Any]]

COMPARED = {"digits": ("accuracy",), "overlay": ("item", "picture")}  # metrics of the t-tests, by config.data.scenes
PUBLISHED = {"no_modulation", "no_synchrony", "no_kappa_epsilon"}  # ablations, entries of a model's table
ABLATIONS = {*PUBLISHED, "no_location"}


def compare(scenes: str, metrics: engine.Metrics, models: Mapping[str, Table], tests: Mapping[str, Table]) -> Entries:
    """The paper's two-sided t-tests of every GASPnet at every step.

    Against the baseline, of scenes of digits: all seeds of both, with pooled variance. Of overlays: the GASPnet that
    was best on validation data as the given mean of the baseline's seeds, in a one-sample test. Against the full model,
    of scenes of digits: every ablated one at the same step, with pooled variance. Test sets that are `grouped` are left
    out: their scenes are the first of another's.

    Args:
        scenes: config.data.scenes.
        metrics: of the run.
        models: tables of models by label.
        tests: tables of test sets by label.

    Returns:
        One entry per model, what it is compared with, test set, metric and step: model, against (a label), split,
        metric, step (1 to T), mean, reference (the mean of what it is compared with), difference, p, and p_adjusted
        (Benjamini-Yekutieli; the tests of a figure are one family, see `_figure`). Undefined numbers are None.
    """
    found = [
        test | {"figure": _figure(tests.get(split, {}).get("kind", split), label, _changes(model), against == full)}
        for full, baseline in [_references(models)]
        for label, model in models.items()
        for against in (baseline, full)
        if model["network"] != "baseline" and against not in (None, label)
        if against == baseline or (scenes == "digits" and ABLATIONS & _changes(model))
        for split in metrics[label]
        if split not in (*engine.TRAINING_SPLITS, *groups.grouped(tests))
        for test in _tests(scenes, metrics, label, against, split)
    ]
    for figure in dict.fromkeys(test["figure"] for test in found):
        family = [test for test in found if test["figure"] == figure]
        for test, p in zip(family, stats.benjamini_yekutieli([test["p"] for test in family]), strict=True):
            test["p_adjusted"] = float(p)
    return [{key: None if value != value else value for key, value in entry.items()} for entry in found]


def _references(models: Mapping[str, Table]) -> tuple[str | None, str | None]:
    """Labels of the full model and of the baseline, None where there is none."""
    plain = [label for label, model in models.items() if not _changes(model)]
    pick = lambda network: next((label for label in plain if models[label]["network"] == network), None)  # noqa: E731
    return pick("gaspnet"), pick("baseline")


def _changes(model: Table) -> set[str]:
    """Entries of a model's table that are on."""
    return {key for key, on in model.items() if on is True}


def _figure(kind: str, label: str, changes: set[str], ablated: bool) -> str:
    """The figure of the paper that a test belongs to; those of a model that the paper does not have, its own.

    2: both noises and clean scenes, against the baseline. 3: overlays like those of the training; 4: items of other
    sizes. 5: ablations against the full model.
    """
    if ablated:
        return "ablations" if changes <= PUBLISHED else f"{label} against the full model"
    return f"{label} against the baseline" + {"item": ", other sizes"}.get(kind, "")


def _tests(scenes: str, metrics: engine.Metrics, label: str, against: str, split: str) -> Entries:
    tests = []
    for name in COMPARED[scenes]:
        (seeds, ours), (_, theirs) = (engine.last_values(metrics, each, split, name) for each in (label, against))
        if not ours.size or not theirs.size:
            continue
        if scenes == "overlay":
            ours = ours[[seed == engine.best_seed(metrics, label, "accuracy") for seed in seeds]]
            if not ours.size:  # that seed is not tested yet
                continue
        for step, values in enumerate(ours.T, 1):
            others = theirs[:, min(step, theirs.shape[1]) - 1]  # the baseline has one step
            if scenes == "overlay":
                result = stats.one_sample_t_test(others, float(values[0]))
                result = result._replace(difference=-result.difference, statistic=-result.statistic)
            else:
                result = stats.independent_t_test(values, others, equal_variances=True)
            entry = {"model": label, "against": against, "split": split, "metric": name, "step": step}
            means = {"mean": float(values.mean()), "reference": float(others.mean())}
            tests.append(entry | means | {"difference": result.difference, "p": result.p_value})
    return tests


def write(workdir: Path, tests: Entries) -> None:
    """steps.json with the tests, steps.md with one line per model, what it is compared with, test set and metric."""
    engine.write_atomically(workdir / "steps.json", (json.dumps(tests, indent=1) + "\n").encode())
    engine.write_atomically(workdir / "steps.md", comparison_text(tests).encode())


def comparison_text(tests: Entries) -> str:
    """Means over seeds in percent at every step; * where a step differs from the reference, adjusted p < 0.05."""
    lines = [
        "Mean in percent; * differs from what the model is compared with at the same step, adjusted p < 0.05 (t-test "
        "of two samples with pooled variance; on overlays, of the baseline's seeds against the GASPnet that was best "
        "on validation data; Benjamini-Yekutieli over the tests of a figure).",
        "",
    ]
    rows: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for test in tests:
        rows.setdefault((test["split"], test["metric"], test["model"], test["against"]), []).append(test)
    steps = max((len(row) for row in rows.values()), default=0)
    head = ["test set", "metric", "model", "against", "its last step", *(f"step {i + 1}" for i in range(steps))]
    cells = [[*key, f"{100 * row[-1]['reference']:.1f}", *map(_cell, row)] for key, row in sorted(rows.items())]
    return "\n".join([*lines, markdown.table(head, cells)]) + "\n"


def _cell(test: dict[str, Any]) -> str:
    certain = test["p_adjusted"] is not None and test["p_adjusted"] < 0.05
    return f"{100 * test['mean']:.1f}{'*' if certain else ''}"
