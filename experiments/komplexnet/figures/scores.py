"""Pictures of the test sets beyond the three that every model has: numbers of digits, videos, more steps."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import comb
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict
from numpy.typing import NDArray

from experiments import engine
from experiments.engine import Table
from experiments.komplexnet.data import CLASSES, STILL, VIDEOS
from experiments.komplexnet.figures.groups import Group, by_scenes
from experiments.komplexnet.task import BUILDERS, has_dynamics
from oscnets import plotting

COUNTS = range(2, 10)  # digits in a scene
REFERENCES = ("real", "komplexnet", "feedback")  # networks that the others are compared with
REACH = 10  # frames before and after the one of largest overlap
LABELS = {
    "accuracy": "share of digits found",
    "exact_match": "share of scenes with all digits found",
    "synchrony": "synchrony loss (0: perfect)",
}
EARLIER = {"exact_match": "exact"}  # names of metrics in runs of earlier versions

BySeed = dict[int, NDArray[np.float64]]  # seed -> (T,)
Lines = dict[str, dict[str, BySeed]]  # what a panel shows -> line -> values


class Run(NamedTuple):
    """What the pictures need of a run."""

    figures: Path
    metrics: engine.Metrics
    config: ConfigDict
    models: Mapping[str, Table]  # by label
    tests: Mapping[str, Table]  # those measured, by label
    groups: list[Group]
    styles: dict[str, dict[str, Any]]  # by model's name in a picture

    def by_seed(self, model: str, split: str | None, metric: str) -> BySeed:
        """The values of a test set, {} where there are none."""
        for name in (metric, EARLIER.get(metric)) if split else ():
            seeds, values = engine.last_values(self.metrics, model, split, name)
            if seeds:
                return dict(zip(seeds, values, strict=True))
        return {}

    def network(self, model: str) -> str:
        """A model's network."""
        return self.models[model]["network"]

    def has_dynamics(self, model: str) -> bool:
        """Whether a model's phases change over the steps."""
        return has_dynamics(BUILDERS[self.network(model)](self.config))

    def label_where(self, holds: Callable[[Table], bool]) -> str | None:
        """The first test set whose table is of a kind, None without any."""
        return next((label for label, test in self.tests.items() if holds(test)), None)


def load(config: ConfigDict, models: Mapping[str, Table], tests: Mapping[str, Table], workdir: Path) -> Run:
    """Metrics and settings of a run; the tables of its models and test sets by label."""
    metrics = engine.load_metrics(workdir)
    models = {label: table for label, table in models.items() if label in metrics}
    measured = {split for label in models for split in metrics[label]}
    tests = {label: table for label, table in tests.items() if label in measured}
    groups = by_scenes(config, models)
    names = engine.in_order(name for group in groups for name in group.names.values())
    return Run(workdir / "figures", metrics, config, models, tests, groups, plotting.model_styles(names))


def draw(run: Run) -> None:
    """Pictures of the test sets that have been measured.

    digits_METRIC.png, digits_difference_METRIC.png, trained_tested_METRIC.png and off_diagonal.png; moving.png and
    more_steps.png once for all models trained on the same scenes.
    """
    for metric in ("accuracy", "exact_match"):
        draw_digits(run, metric)
    for metric in LABELS:
        draw_trained_tested(run, metric)
    draw_off_diagonal(run)
    for group in run.groups:
        draw_moving(run, group)
        draw_more_steps(run, group)


def draw_digits(run: Run, metric: str) -> None:
    """Scores against the number of digits, a panel for each kind of training; then differences to references."""
    scores = [(group, _over_counts(run, group, metric)) for group in run.groups]
    scores = [(group, lines) for group, lines in scores if lines]
    drawn = [by_seed for _, lines in scores for by_seed in lines.values()]
    counts = [n for n in COUNTS if any(np.isfinite(_stack(by_seed)[:, n - 2]).any() for by_seed in drawn)]
    if len(counts) < 2:
        return
    chance = [n / CLASSES if metric == "accuracy" else 1 / comb(CLASSES, n) for n in counts]
    first = [
        _digits_panel(run, counts, lines, group) | {"ylabel": LABELS[metric], "chance": (counts, chance)}
        for group, lines in scores
    ]
    title = f"Test scenes of {counts[0]} to {counts[-1]} digits, last step\n{_spread(drawn)}"
    figure = plotting.curve_row(first, models=list(run.styles), title=title)
    plotting.save(figure, run.figures / f"digits_{metric}.png")
    rows = [[_minus(run, counts, lines, group, other) for group, lines in scores] for other in REFERENCES]
    if rows := [row for row in rows if any(row)]:
        title = f"{LABELS[metric].capitalize()}\nminus another model's of the same seed\n{_spread(drawn)}"
        figure = plotting.curve_grid(rows, models=list(run.styles), title=title)
        plotting.save(figure, run.figures / f"digits_difference_{metric}.png")


def draw_trained_tested(run: Run, metric: str) -> None:
    """Digits in training by digits in the test, one table for each network trained on several numbers of digits."""
    trained: dict[str, dict[int, BySeed]] = {}
    for group in run.groups:
        if not group.scenes.background:
            for name, by_seed in _over_counts(run, group, metric).items():
                trained.setdefault(name, {})[group.scenes.num_digits] = by_seed
    counts = sorted({count for by_count in trained.values() for count in by_count})
    trained = {name: trained[name] for name in run.styles if len(trained.get(name, ())) == len(counts) > 1}
    tables = {name: _table(by_count, counts) for name, by_count in trained.items()}
    if not any(np.isfinite(table).any() for table in tables.values()):
        return
    title = f"Trained and tested on other numbers of digits: {LABELS[metric]}"
    axes = {"ylabel": "digits in training", "xlabel": "digits in the test", "label": LABELS[metric]}
    figure = plotting.score_tables(tables, rows=counts, columns=counts, title=title, **axes)
    plotting.save(figure, run.figures / f"trained_tested_{metric}.png")


def draw_off_diagonal(run: Run) -> None:
    """Figure 7 in numbers: every step on scenes of as many digits as in training, and of another number.

    One column per number of digits in the test, one line per network and number of digits in its training, of the
    networks whose phases change.
    """
    groups = [group for group in run.groups if not group.scenes.background]
    counts = sorted(group.scenes.num_digits for group in groups)
    styles, rows, drawn = {}, [], []
    for metric in ("accuracy", "synchrony"):
        row = []
        for count in counts:
            lines: dict[str, BySeed] = {}
            for group, dashes in zip(groups, ("-", "-.", ":", "--"), strict=False):
                for model, name in group.names.items():
                    by_seed = run.by_seed(model, run.label_where(_plain(count)), metric)
                    if by_seed and run.has_dynamics(model):
                        line = f"{name}, {group.title}"
                        lines[line], styles[line] = by_seed, run.styles[name] | {"linestyle": dashes}
            drawn += lines.values()
            panel = {"values": {line: _stack(by_seed) for line, by_seed in lines.items()}, "ylabel": LABELS[metric]}
            row.append(panel | {"title": f"{count} digits in the test", "styles": styles} if lines else None)
        rows += [row] if any(row) else []
    if len(counts) > 1 and rows:
        title = f"As many digits as in training, and another number\n{_spread(drawn)}"
        figure = plotting.curve_grid(rows, models=list(styles), title=title)
        plotting.save(figure, run.figures / "off_diagonal.png")


def draw_moving(run: Run, group: Group) -> None:
    """The three panels of the paper's figure of moving digits, over frames around the one of largest overlap.

    Left: the accuracy on videos and on their single frames. Middle: that of a frame seen while the video runs forwards
    minus that of the same frame while it runs backwards. Right: videos minus the same model's single frames, and minus
    the real model's (dotted). Of the models without dynamics, which see only single frames, the real one is shown.
    """
    styles: dict[str, dict[str, Any]] = {}
    lines: Lines = {}
    moving, backwards, frames = (run.label_where(_video(kind)) for kind in VIDEOS)
    around = lambda model, label: _around_overlap(run.by_seed(model, label, "accuracy"))  # noqa: E731
    real = next((around(model, frames) for model in group.names if run.network(model) == "real"), {})
    for model, name in group.names.items():
        dynamic, single = run.has_dynamics(model), f"{name}, single frames"
        if not dynamic and run.network(model) != "real":
            continue
        alone, forwards = around(model, frames), around(model, moving)
        line = name if dynamic else single
        styles |= {line: {**run.styles[name], "linestyle": "-"}}
        styles |= {single: {**run.styles[name], "linestyle": "--"}}
        turned = {seed: row[::-1] for seed, row in around(model, backwards).items()}  # frame by frame, as forwards
        lines.setdefault("share of digits found", {}).update({line: forwards, single: alone})
        lines.setdefault("forwards minus backwards", {})[line] = _difference(forwards, turned)
        if dynamic:
            over_real = f"{name}, minus real's frames"
            styles |= {over_real: {**run.styles[name], "linestyle": ":"}}
            differences = {line: _difference(forwards, alone), over_real: _difference(forwards, real)}
            lines.setdefault("video minus single frames", {}).update(differences)
    _save_moving(run, group, lines, styles)


def _save_moving(run: Run, group: Group, lines: Lines, styles: Mapping[str, Mapping[str, Any]]) -> None:
    lines = {shown: {name: rows for name, rows in panel.items() if rows} for shown, panel in lines.items()}
    panels = [
        {
            "values": {name: _stack(rows) for name, rows in panel.items()},
            "positions": {name: _frames(rows) for name, rows in panel.items()},
            "xlabel": "frame (0: largest overlap)",
            "ylabel": shown,
            "styles": styles,
            "zero": "minus" in shown,
        }
        for shown, panel in lines.items()
        if panel
    ]
    if panels:
        spread = _spread(by_seed for panel in lines.values() for by_seed in panel.values())
        title = f"Moving digits, one step of the dynamics per frame, {group.title}\n{spread}"
        figure = plotting.curve_row(panels, models=list(styles), title=title)
        plotting.save(figure, run.figures / f"moving{group.suffix}.png")


def draw_more_steps(run: Run, group: Group) -> None:
    """Scores over more steps than in training, one column per test set, the end of training marked."""
    trained = run.config.model.num_steps
    sets = [s for s, t in run.tests.items() if t["kind"] in STILL and (t["num_steps"] or 0) > trained]
    rows, drawn = [], []
    for metric in ("accuracy", "synchrony"):
        columns = [{name: run.by_seed(m, split, metric) for m, name in group.names.items()} for split in sets]
        columns = [{name: by_seed for name, by_seed in column.items() if by_seed} for column in columns]
        drawn += [by_seed for column in columns for by_seed in column.values()]
        panel = {"ylabel": LABELS[metric], "styles": run.styles, "marks": {"steps in training": trained}}
        values = [{name: _stack(by_seed) for name, by_seed in column.items()} for column in columns]
        row = [{**panel, "values": v, "title": s} if v else None for s, v in zip(sets, values, strict=True)]
        rows += [row] if any(row) else []
    if rows:
        title = f"More steps than in training, {group.title}\n{_spread(drawn)}"
        figure = plotting.curve_grid(rows, models=list(run.styles), title=title)
        plotting.save(figure, run.figures / f"more_steps{group.suffix}.png")


def _video(kind: str) -> Callable[[Table], bool]:
    return lambda test: test["kind"] == kind and test["num_steps"] is None


def _plain(count: int) -> Callable[[Table], bool]:
    """Scenes of a number of digits that differ in nothing else from those of the training."""

    def holds(test):
        return (
            test["kind"] == "test" and test["num_digits"] == count and test["background"] is test["num_steps"] is None
        )

    return holds


def _over_counts(run: Run, group: Group, metric: str) -> dict[str, BySeed]:
    """Model -> seed -> scores at the last step by number of digits, `COUNTS`; NaN without a score, {} without any."""
    lines: dict[str, BySeed] = {}
    for place, count in enumerate(COUNTS):
        split = run.label_where(_plain(count))
        for model, name in group.names.items():
            for seed, values in run.by_seed(model, split, metric).items():
                rows = lines.setdefault(name, {})
                rows.setdefault(seed, np.full(len(COUNTS), np.nan))[place] = values[-1]
    return {name: lines[name] for name in group.names.values() if name in lines}


def _digits_panel(run: Run, counts: Sequence[int], lines: Mapping[str, BySeed], group: Group) -> dict[str, Any]:
    columns = [count - 2 for count in counts]
    return {
        "values": {name: _stack(by_seed)[:, columns] for name, by_seed in lines.items()},
        "positions": dict.fromkeys(lines, counts),
        "styles": {name: {**style, "marker": "o"} for name, style in run.styles.items()},
        "across": False,
        "xlabel": "digits in the scene",
        "title": group.title,
    }


def _minus(
    run: Run, counts: Sequence[int], lines: Mapping[str, BySeed], group: Group, other: str
) -> dict[str, Any] | None:
    """A panel of every model minus `other`, seed by seed; None where there is nothing to compare."""
    differences = {name: _difference(by_seed, lines.get(other, {})) for name, by_seed in lines.items()}
    differences = {name: by_seed for name, by_seed in differences.items() if by_seed}
    if len(differences) < 2:
        return None
    return _digits_panel(run, counts, differences, group) | {"ylabel": f"difference to {other}", "zero": True}


def _table(by_count: Mapping[int, BySeed], counts: Sequence[int]) -> NDArray[np.float64]:
    """(S, R, K): seeds, digits in training, digits in the test."""
    seeds = sorted({seed for by_seed in by_count.values() for seed in by_seed})
    nowhere, columns = np.full(len(COUNTS), np.nan), [count - 2 for count in counts]
    return np.array([[by_count[count].get(seed, nowhere)[columns] for count in counts] for seed in seeds])


def _around_overlap(by_seed: BySeed) -> BySeed:
    """Videos have as many frames before the one of largest overlap, in the middle, as after it."""
    middles = {seed: len(row) // 2 for seed, row in by_seed.items()}
    return {seed: row[max(middles[seed] - REACH, 0) : middles[seed] + REACH + 1] for seed, row in by_seed.items()}


def _frames(by_seed: BySeed) -> NDArray[np.int64]:
    length = _stack(by_seed).shape[1]
    return np.arange(length) - length // 2


def _difference(first: BySeed, second: BySeed) -> BySeed:
    return {seed: first[seed] - second[seed] for seed in first if seed in second}


def _stack(by_seed: BySeed) -> NDArray[np.float64]:
    return np.stack([by_seed[seed] for seed in sorted(by_seed)])


def _spread(drawn: Iterable[BySeed]) -> str:
    most = max(map(len, drawn))
    return f"mean ± standard deviation over {most} seeds" if most > 1 else "one seed"
