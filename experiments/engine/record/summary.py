"""summary.json, summary.md and the figures of a run, rebuilt at any time from metrics.jsonl and config.json.

Nothing here knows a model or a metric by name: the files and the arguments of `build` decide.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.engine.process.files import user_path
from experiments.engine.record import summary_text
from experiments.engine.record.metrics_log import NOT_FINITE
from experiments.engine.record.results import (
    TRAINING_SPLITS,
    Metrics,
    history,
    in_order,
    last_values,
    load_config,
    load_metrics,
    seeds_by_model,
)
from experiments.engine.run.config import label
from experiments.engine.run.workdir import write_atomically
from oscnets import plotting, stats

Summary = dict[str, Any]


class Statistics(NamedTuple):
    """Quantities that the summary of a run compares.

    Attributes:
        time_metrics: metrics to draw over the dynamics, one panel each; None: all that any model has over time.
        score: metric on validation whose last value picks the best seed ("-loss": lower is better); None: none is.
        chance: (label of a model, split) -> levels of guessing by metric, stated in the tables and drawn as lines.
        section: (label of a model, label of a test set) -> name under which the values are reported in place of that of
            the test set, for models that are evaluated on different data under one label. Only values of one section
            are compared.
        untested: metrics that are no part of the family of t-tests, such as one that says the same as another.
        untested_splits: labels of test sets that are no part of it, such as one of scenes that another has too.
    """

    time_metrics: Sequence[str] | None = None
    score: str | None = None
    chance: Callable[[str, str], Mapping[str, float]] | None = None
    section: Callable[[str, str], str] | None = None
    untested: Sequence[str] = ()
    untested_splits: Sequence[str] = ()


PLAIN = Statistics()


def build(
    workdir: str | Path,
    statistics: Statistics = PLAIN,
    labels: Mapping[str, str] | None = None,
    figures: Callable[[Path], Any] | None = None,
) -> Summary:
    """Write summary.json, summary.md and figures/*.png of a run, complete or not.

    Args:
        workdir: the folder of the run.
        statistics: what is compared.
        labels: metric -> axis label with unit.
        figures: draws the experiment's own pictures, from the workdir, after all else is written.

    Returns:
        The content of summary.json, undefined numbers as None:
        run (the header), models, splits (or sections), missing (sentences), best_step {model: {seed: step}},
        best_seed {model: seed}, by score (null where there is no score),
        training {model: {"step", "metrics": {split: {name: statistics}}}}, the last values seen in training,
        results {split: {metric: {model: statistics}}},
        tests, a list of paired t-tests between models at the last step of the dynamics, adjusted as one family.
        Statistics are seeds (S), steps (T, or None for a value without time), n, mean, std, low, high (T each; low and
        high bound the 95 % interval of the mean) and values (S, T).

    Raises:
        UsageError: no workdir, no metrics.jsonl in it, no complete line in that, or config.json is no JSON object.
        RunError: a complete line of metrics.jsonl is damaged.
    """
    workdir = user_path(workdir)
    metrics, config = load_metrics(workdir), load_config(workdir)
    summary = summarize(metrics, config, statistics)
    metrics = _in_sections(metrics, statistics.section)
    write_atomically(workdir / "summary.json", (json.dumps(summary, indent=1, allow_nan=False) + "\n").encode())
    write_atomically(workdir / "summary.md", summary_text.render(summary).encode())
    folder = workdir / "figures"
    folder.mkdir(exist_ok=True)
    draw_over_time(folder, metrics, summary, time_metrics=statistics.time_metrics, labels=labels or {})
    draw_learning(folder, metrics, summary, time_metrics=statistics.time_metrics, labels=labels or {})
    if figures is not None:
        figures(workdir)
    return summary


def summarize(metrics: Metrics, config: Mapping[str, Any], statistics: Statistics = PLAIN) -> Summary:
    """The content of summary.json, see `build`."""
    models = in_order(metrics, expected_models(config))
    missing, levels = _missing(metrics, models, config), _levels(metrics, models, statistics)
    section_of, untested = _namer(statistics.section), statistics.untested_splits
    apart = {section_of(model, split) for model in models for split in untested if split in metrics[model]}
    metrics = _in_sections(metrics, statistics.section)
    splits = _test_splits(metrics, models)
    results = {split: _results(metrics, models, split) for split in splits}
    compared = [
        (split, name)
        for split in splits
        for name in results[split]
        if split not in apart and name not in statistics.untested
    ]
    tests = [test for split, name in compared for test in _tests(results, split, name)]
    adjusted = stats.benjamini_yekutieli([np.nan if test["p"] is None else test["p"] for test in tests])
    for test, p in zip(tests, adjusted, strict=True):
        test["p_adjusted"] = _plain(p)
    return {
        "run": header(config),
        "models": models,
        "splits": splits,
        "chance": {split: levels.get(split, {}) for split in (*TRAINING_SPLITS, *splits)},
        "missing": missing,
        "best_step": {model: _best_steps(metrics[model]) for model in models},
        "best_seed": {model: best_seed(metrics, model, statistics.score) for model in models},
        "training": {model: _training(metrics, model) for model in models},
        "results": results,
        "tests": tests,
    }


def _in_sections(metrics: Metrics, section: Callable[[str, str], str] | None) -> Metrics:
    """With every test split under the name of its section."""
    name = _namer(section)
    return {model: {name(model, split): values for split, values in metrics[model].items()} for model in metrics}


def _namer(section: Callable[[str, str], str] | None) -> Callable[[str, str], str]:
    return lambda model, split: split if section is None or split in TRAINING_SPLITS else section(model, split)


def _test_splits(metrics: Metrics, models: Sequence[str]) -> list[str]:
    return in_order(split for model in models for split in metrics[model] if split not in TRAINING_SPLITS)


def _levels(metrics: Metrics, models: Sequence[str], statistics: Statistics) -> dict[str, dict[str, float]]:
    """Levels of guessing by section, those that are the same for all its models."""
    name, by_section = _namer(statistics.section), {}
    for model in models:
        for split in metrics[model]:
            levels = dict(statistics.chance(model, split)) if statistics.chance else {}
            common = by_section.setdefault(name(model, split), levels)
            by_section[name(model, split)] = {key: level for key, level in common.items() if levels.get(key) == level}
    return by_section


def expected_models(config: Mapping[str, Any]) -> list[str]:
    """Labels of the models of a run, in the order of its config.json; [] where it names none."""
    models = config.get("models") or _settings(config).get("models") or []
    return [label(name, table) for name, table in models.items()] if isinstance(models, Mapping) else list(models)


def header(config: Mapping[str, Any]) -> dict[str, Any]:
    """Experiment, scale, hardware and versions of the run; None where config.json does not say."""
    settings = _settings(config)
    keys = ("experiment", "variant", "command", "device", "versions", "commit", "wall_seconds")
    return {key: config.get(key) for key in keys} | {
        "seed": settings.get("seed"),
        "seeds": settings.get("seeds"),
        "train": settings.get("train"),
        "data": settings.get("data"),
    }


def draw_over_time(
    figures: Path, metrics: Metrics, summary: Summary, *, time_metrics: Sequence[str] | None, labels: Mapping[str, str]
) -> None:
    """over_time_<split>.png: one panel per metric, one line per model over the steps of the dynamics.

    Of several seeds over_time_best_<split>.png too: for each model the one that was best on validation.
    """
    models = summary["models"]
    for split in summary["splits"]:
        names = _time_metrics(summary["results"][split]) if time_metrics is None else time_metrics
        last = {name: {model: last_values(metrics, model, split, name) for model in models} for name in names}
        every = {name: {model: values for model, (_, values) in of.items()} for name, of in last.items()}
        best = {
            name: {
                model: values[[seed == summary["best_seed"][model] for seed in seeds]]
                for model, (seeds, values) in of.items()
            }
            for name, of in last.items()
        }
        panels = _over_time_panels(every, summary["chance"][split], labels)
        if panels:
            title = f"{split}: {_spread(panels)}\n(dashed: no steps)"
            figure = plotting.curve_row(panels, models=models, title=title)
            plotting.save(figure, figures / f"over_time_{_file_name(split)}.png")
        several = any(len(values) > 1 for panel in panels for values in panel["values"].values())
        if several and (panels := _over_time_panels(best, summary["chance"][split], labels)):
            title = f"{split}: each model's seed that was\nbest on validation (dashed: no steps)"
            figure = plotting.curve_row(panels, models=models, title=title)
            plotting.save(figure, figures / f"over_time_best_{_file_name(split)}.png")


def _file_name(section: str) -> str:
    """A section's name as a part of a file's: "noise (trained on 3 digits)" -> "noise_trained_on_3_digits"."""
    return re.sub(r"[^\w.+@-]+", "_", section).strip("_")


def _over_time_panels(found, levels, labels):
    """Metric -> model -> (S, T), empty where there is nothing to draw."""
    drawn = {name: {model: array for model, array in of.items() if array.size} for name, of in found.items()}
    return [
        {"values": values, "ylabel": labels.get(name, name), "chance": levels.get(name)}
        for name, values in drawn.items()
        if values
    ]


def draw_learning(
    figures: Path, metrics: Metrics, summary: Summary, *, time_metrics: Sequence[str] | None, labels: Mapping[str, str]
) -> None:
    """learning_curves.png: the training loss, and the validated metrics, against the training step."""
    panels = []
    for split, name in _learning_panels(metrics, time_metrics):
        curves = {model: history(metrics, model, split, name) for model in summary["models"]}
        curves = {model: curve for model, curve in curves.items() if curve[1].size}
        panels.append({
            "values": {model: values for model, (_, values) in curves.items()},
            "positions": {model: steps for model, (steps, _) in curves.items()},
            "xlabel": "training step",
            "ylabel": f"{split}: {labels.get(name, name)}",
            "chance": summary["chance"][split].get(name),
            "across": False,
        })  # fmt: skip
    if panels:
        title = f"Learning curves: {_spread(panels)}"
        figure = plotting.curve_row(panels, models=summary["models"], title=title)
        plotting.save(figure, figures / "learning_curves.png")


def _settings(config: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = config.get("config")
    return inner if isinstance(inner, Mapping) else config


def _results(metrics: Metrics, models: Sequence[str], split: str) -> dict[str, dict[str, Any]]:
    measured = {model: metrics[model][split] for model in models if split in metrics[model]}
    return {
        name: {model: _statistics(metrics, model, split, name) for model in measured if name in measured[model]}
        for name in in_order(name for names in measured.values() for name in names if name != NOT_FINITE)
    }


def _statistics(metrics: Metrics, model: str, split: str, name: str) -> dict[str, Any]:
    seeds, values = last_values(metrics, model, split, name)
    by_seed = metrics[model][split][name]
    timed = any(np.ndim(value) for by_step in by_seed.values() for value in by_step.values())
    described = stats.summarize(values, axis=0)
    steps = list(range(1, values.shape[1] + 1)) if timed else None
    return {
        "seeds": seeds,
        "steps": steps,
        **{key: _plain(value) for key, value in described._asdict().items()},
        "values": _plain(values),
    }


def _tests(results: dict[str, Any], split: str, name: str) -> list[dict[str, Any]]:
    return [
        _test(results[split][name], first, second) | {"split": split, "metric": name}
        for first, second in itertools.combinations(results[split][name], 2)
    ]


def _test(by_model: dict[str, Any], first: str, second: str) -> dict[str, Any]:
    last = [
        {seed: np.nan if row[-1] is None else row[-1] for seed, row in zip(m["seeds"], m["values"], strict=True)}
        for m in (by_model[first], by_model[second])
    ]
    seeds = sorted(set(last[0]) & set(last[1]))
    result = stats.paired_t_test(*([values[seed] for seed in seeds] for values in last))
    return {
        "first": first,
        "second": second,
        "n": result.n,
        "difference": _plain(result.difference),
        "statistic": _plain(result.statistic),
        "p": _plain(result.p_value),
    }


def _best_steps(splits: Mapping[str, Any]) -> dict[str, int]:
    """Test sets are evaluated with the parameters that were best on validation; the step is that of these."""
    steps: dict[int, int] = {}
    for split, names in splits.items():
        if split not in TRAINING_SPLITS:
            for by_seed in names.values():
                steps |= {seed: max(by_step) for seed, by_step in by_seed.items()}
    return {str(seed): steps[seed] for seed in sorted(steps)}


def best_seed(metrics: Metrics, model: str, score: str | None) -> int | None:
    """The seed whose best step was the best of all on validation; "-loss": lower is better, None: there is none.

    The best step is that of the parameters that were tested; of a seed without a test, the best of all validations.
    """
    if score is None:
        return None
    name, sign = score.removeprefix("-"), -1 if score.startswith("-") else 1
    by_seed, kept = metrics[model].get("validation", {}).get(name, {}), _best_steps(metrics[model])
    best = {}
    for seed, by_step in by_seed.items():
        last = {step: sign * np.ravel(value)[-1] for step, value in by_step.items()}
        best[seed] = last.get(kept.get(str(seed)), max(last.values()))
    return max(sorted(best), key=best.__getitem__, default=None)


def _training(metrics: Metrics, model: str) -> dict[str, Any]:
    seen = {split: metrics[model][split] for split in TRAINING_SPLITS if split in metrics[model]}
    by_seed = [values for names in seen.values() for seeds in names.values() for values in seeds.values()]
    return {
        "step": max((step for values in by_seed for step in values), default=None),
        "metrics": {split: {name: _statistics(metrics, model, split, name) for name in seen[split]} for split in seen},
    }


def _missing(metrics: Metrics, models: Sequence[str], config: Mapping[str, Any]) -> list[str]:
    sentences = [f"Model {model} has no metrics." for model in expected_models(config) if model not in metrics]
    splits = _test_splits(metrics, models)
    if not splits:
        return [*sentences, "No test split has been measured; the run is not finished."]
    wanted = seeds_by_model(_settings(config))
    for model in models:
        own = wanted(model)
        absent = []
        for split in splits:
            seeds = {seed for by_seed in metrics[model].get(split, {}).values() for seed in by_seed}
            if not seeds:
                absent.append(split)
            elif own is not None and len(seeds) < len(own):
                sentences.append(f"Model {model} has {len(seeds)} of {len(own)} seeds on {split}.")
            sentences += _not_finite(metrics, model, split)
        if absent:
            sentences.append(f"Model {model} has not been measured on {', '.join(absent)}.")
    return sentences


def _not_finite(metrics: Metrics, model: str, split: str) -> list[str]:
    seeds, counts = last_values(metrics, model, split, NOT_FINITE)
    found = [f"{count:.0f} examples of seed {seed}" for seed, (count,) in zip(seeds, counts, strict=True) if count]
    what = "values that are not finite; the means are without these seeds"
    return [f"Model {model} has on {split}, for {', '.join(found)}, {what}."] if found else []


def _spread(panels: Sequence[Mapping[str, Any]]) -> str:
    most = max(len(values) for panel in panels for values in panel["values"].values())
    return f"mean ± standard deviation over {most} seeds" if most > 1 else "one seed"


def _time_metrics(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [name for name, by_model in results.items() if any(len(m["steps"] or []) > 1 for m in by_model.values())]


def _learning_panels(metrics: Metrics, time_metrics: Sequence[str] | None) -> list[tuple[str, str]]:
    """The training loss (or the first metric logged) and the validated metrics, at most three panels in all."""
    logged = {split: in_order(n for m in metrics.values() for n in m.get(split, {})) for split in TRAINING_SPLITS}
    train = in_order(logged["train"], ["loss"])[:1]
    wanted = in_order(logged["validation"], time_metrics or ())
    return [("train", name) for name in train] + [("validation", name) for name in wanted[:2]]


def _plain(value: Any) -> Any:
    """NumPy to JSON's own types; a number that is not finite becomes None."""
    if isinstance(value, np.ndarray) and value.ndim:
        return [_plain(entry) for entry in value]
    if isinstance(value, np.integer | int):
        return int(value)
    return float(value) if np.isfinite(value) else None
