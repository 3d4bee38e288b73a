"""Pictures of the test sets beyond the three that every model has: numbers of digits, videos, more steps."""

from collections.abc import Iterable, Mapping, Sequence
from math import comb
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.engine.results import Metrics, in_order, last_values, load_config, load_metrics
from experiments.komplexnet import names
from experiments.komplexnet.pictures_samples import by_scenes
from oscnets import plotting

COUNTS = range(2, 10)  # digits in a scene of the sets digits2 to digits9
REFERENCES = ("real", "komplexnet", "feedback")  # what the others are compared with
REACH = 10  # frames before and after the one of largest overlap
CLASSES = 10
LABELS = {
    "accuracy": "share of digits found",
    "exact_match": "share of scenes with all digits found",
    "synchrony": "synchrony loss (0: perfect)",
}

BySeed = dict[int, NDArray[np.float64]]  # seed -> (T,)


class Run(NamedTuple):
    """What the pictures need of a run."""

    figures: Path
    metrics: Metrics
    scenes: dict[str, list[str]]  # models trained on the same scenes
    num_digits: int
    num_steps: int
    styles: dict[str, dict[str, Any]]  # of a network, whatever it was trained on

    def by_seed(self, model: str, split: str, metric: str) -> BySeed:
        """The values of a test set, {} where it has not been measured."""
        return dict(zip(*last_values(self.metrics, model, split, metric), strict=True))

    def title_of(self, scenes: str) -> str:
        """What models were trained on."""
        count = names.model(self.scenes[scenes][0]).num_digits or self.num_digits
        return f"trained on {count} digits" + (" before pictures" if scenes == "@background" else "")


def draw(workdir: Path) -> None:
    """digits_METRIC.png, digits_difference_METRIC.png, trained_tested_METRIC.png, moving.png and more_steps.png.

    Each where its test sets have been measured; the last two once for all models trained on the same scenes.
    """
    run = load(workdir)
    for metric in ("accuracy", "exact_match"):
        draw_digits(run, metric)
    for metric in LABELS:
        draw_trained_tested(run, metric)
    for scenes, models in run.scenes.items():
        draw_moving(run, scenes, models)
        draw_more_steps(run, scenes, models)


def load(workdir: Path) -> Run:
    """Metrics and settings of a run."""
    metrics, config = load_metrics(workdir), load_config(workdir)["config"]
    models = in_order(metrics, config["models"])
    networks = in_order(map(_network, models))
    return Run(
        workdir / "figures",
        metrics,
        by_scenes(models),
        config["data"]["num_digits"],
        config["model"]["num_steps"],
        plotting.model_styles(networks),
    )


def draw_digits(run: Run, metric: str) -> None:
    """Scores against the number of digits, a panel for each number in training; then differences to references."""
    scores = {scenes: _over_counts(run, models, metric) for scenes, models in run.scenes.items()}
    scores = {scenes: found for scenes, found in scores.items() if found}
    drawn = [by_seed for found in scores.values() for by_seed in found.values()]
    counts = [n for n in COUNTS if any(np.isfinite(_stack(by_seed)[:, n - 2]).any() for by_seed in drawn)]
    if len(counts) < 2:
        return
    level = [n / CLASSES if metric == "accuracy" else 1 / comb(CLASSES, n) for n in counts]
    first = [
        _digits_panel(run, counts, found, scenes) | {"ylabel": LABELS[metric], "chance": (counts, level)}
        for scenes, found in scores.items()
    ]
    title = f"Test scenes of {counts[0]} to {counts[-1]} digits, last step\n{_spread(drawn)}"
    figure = plotting.curve_row(first, models=list(run.styles), title=title)
    plotting.save(figure, run.figures / f"digits_{metric}.png")
    rows = [[_minus(run, counts, found, scenes, other) for scenes, found in scores.items()] for other in REFERENCES]
    if rows := [row for row in rows if any(row)]:
        title = f"{LABELS[metric].capitalize()}\nminus another model's of the same seed\n{_spread(drawn)}"
        figure = plotting.curve_grid(rows, models=list(run.styles), title=title)
        plotting.save(figure, run.figures / f"digits_difference_{metric}.png")


def draw_trained_tested(run: Run, metric: str) -> None:
    """A table a network, digits in training by digits in the test; of networks trained on several numbers."""
    trained: dict[str, dict[int, BySeed]] = {}
    for scenes in run.scenes.keys() - {"@background"}:
        count = names.model(run.scenes[scenes][0]).num_digits or run.num_digits
        for network, by_seed in _over_counts(run, run.scenes[scenes], metric).items():
            trained.setdefault(network, {})[count] = by_seed
    counts = sorted({count for by_count in trained.values() for count in by_count})
    trained = {name: trained[name] for name in run.styles if len(trained.get(name, ())) == len(counts) > 1}
    tables = {network: _table(by_count, counts) for network, by_count in trained.items()}
    if not any(np.isfinite(table).any() for table in tables.values()):
        return
    title = f"Trained and tested on other numbers of digits: {LABELS[metric]}"
    axes = {"ylabel": "digits in training", "xlabel": "digits in the test", "label": LABELS[metric]}
    figure = plotting.score_tables(tables, rows=counts, columns=counts, title=title, **axes)
    plotting.save(figure, run.figures / f"trained_tested_{metric}.png")


def draw_moving(run: Run, scenes: str, models: Sequence[str]) -> None:
    """The three panels of the paper's figure of moving digits, over frames around the one of largest overlap.

    Left the accuracy on videos and on their frames one by one; in the middle that of a frame seen while the video runs
    forwards minus that of the same frame while it runs backwards; right videos minus the same model's single frames,
    and minus the real model's (dotted). Of the models without dynamics, which see only single frames, the real one is
    shown.
    """
    styles: dict[str, dict[str, Any]] = {}
    lines: dict[str, dict[str, BySeed]] = {}
    real = next((_around_overlap(run.by_seed(m, "frames", "accuracy")) for m in models if _network(m) == "real"), {})
    for model in models:
        network = _network(model)
        if network not in names.FEEDBACK and network != "real":
            continue
        moving, backwards, frames = (_around_overlap(run.by_seed(model, split, "accuracy")) for split in names.VIDEOS)
        alone = f"{network}, single frames"
        video = network if network in names.FEEDBACK else alone
        styles |= {video: {**run.styles[network], "linestyle": "-"}}
        styles |= {alone: {**run.styles[network], "linestyle": "--"}}
        reversed_ = {seed: row[::-1] for seed, row in backwards.items()}  # frame by frame, as in the others
        lines.setdefault("share of digits found", {}).update({video: moving, alone: frames})
        lines.setdefault("forwards minus backwards", {})[video] = _difference(moving, reversed_)
        if network in names.FEEDBACK:
            over_real = f"{network}, minus real's frames"
            styles |= {over_real: {**run.styles[network], "linestyle": ":"}}
            differences = {video: _difference(moving, frames), over_real: _difference(moving, real)}
            lines.setdefault("video minus single frames", {}).update(differences)
    lines = {what: {name: rows for name, rows in found.items() if rows} for what, found in lines.items()}
    panels = [
        {
            "values": {name: _stack(rows) for name, rows in found.items()},
            "positions": {name: _frames(rows) for name, rows in found.items()},
            "xlabel": "frame (0: largest overlap)",
            "ylabel": what,
            "styles": styles,
            "zero": "minus" in what,
        }
        for what, found in lines.items()
        if found
    ]
    if panels:
        spread = _spread(by_seed for found in lines.values() for by_seed in found.values())
        title = f"Moving digits, one step of the dynamics a frame, {run.title_of(scenes)}\n{spread}"
        figure = plotting.curve_row(panels, models=list(styles), title=title)
        plotting.save(figure, run.figures / f"moving{scenes}.png")


def draw_more_steps(run: Run, scenes: str, models: Sequence[str]) -> None:
    """Scores over more steps than in training, a column a test set, the end of training marked."""
    measured = in_order(split for model in models for split in run.metrics[model])
    known = {split: names.test_set(split) for split in measured if "@" in split}
    sets = [s for s, test in known.items() if test.kind in names.STILL and test.num_steps > run.num_steps]
    rows, drawn = [], []
    for metric in ("accuracy", "synchrony"):
        found = [{_network(m): run.by_seed(m, split, metric) for m in models} for split in sets]
        drawn += [by_seed for values in found for by_seed in values.values() if by_seed]
        found = [{network: _stack(by_seed) for network, by_seed in values.items() if by_seed} for values in found]
        panel = {"ylabel": LABELS[metric], "styles": run.styles, "marks": {"steps in training": run.num_steps}}
        row = [{**panel, "values": v, "title": s} if v else None for s, v in zip(sets, found, strict=True)]
        rows += [row] if any(row) else []
    if rows:
        title = f"More steps than in training, {run.title_of(scenes)}\n{_spread(drawn)}"
        figure = plotting.curve_grid(rows, models=list(run.styles), title=title)
        plotting.save(figure, run.figures / f"more_steps{scenes}.png")


def _network(model: str) -> str:
    return names.model(model).network


def _over_counts(run: Run, models: Sequence[str], metric: str) -> dict[str, BySeed]:
    """Network -> seed -> scores at the last step on the sets of `COUNTS`, NaN where there is none; {} without any."""
    found: dict[str, BySeed] = {}
    for model in models:
        for place, count in enumerate(COUNTS):
            for seed, values in run.by_seed(model, f"digits{count}", metric).items():
                rows = found.setdefault(_network(model), {})
                rows.setdefault(seed, np.full(len(COUNTS), np.nan))[place] = values[-1]
    return found


def _digits_panel(run: Run, counts: Sequence[int], found: Mapping[str, BySeed], scenes: str) -> dict[str, Any]:
    columns = [count - 2 for count in counts]
    return {
        "values": {network: _stack(by_seed)[:, columns] for network, by_seed in found.items()},
        "positions": dict.fromkeys(found, counts),
        "styles": {network: {**style, "marker": "o"} for network, style in run.styles.items()},
        "across": False,
        "xlabel": "digits in the scene",
        "title": run.title_of(scenes),
    }


def _minus(
    run: Run, counts: Sequence[int], found: Mapping[str, BySeed], scenes: str, other: str
) -> dict[str, Any] | None:
    """A panel of every model minus `other`, seed by seed; None where there is nothing to compare."""
    differences = {network: _difference(by_seed, found.get(other, {})) for network, by_seed in found.items()}
    differences = {network: by_seed for network, by_seed in differences.items() if by_seed}
    if len(differences) < 2:
        return None
    return _digits_panel(run, counts, differences, scenes) | {"ylabel": f"difference to {other}", "zero": True}


def _table(by_count: Mapping[int, BySeed], counts: Sequence[int]) -> NDArray[np.float64]:
    """(S, R, K): seeds, digits in training, digits in the test."""
    seeds = sorted({seed for by_seed in by_count.values() for seed in by_seed})
    nowhere, columns = np.full(len(COUNTS), np.nan), [count - 2 for count in counts]
    return np.array([[by_count[count].get(seed, nowhere)[columns] for count in counts] for seed in seeds])


def _around_overlap(by_seed: BySeed) -> BySeed:
    """Videos are the same from either end, so that the frame of largest overlap is the one in the middle."""
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
