"""Reading a finished or broken-off run: metrics.jsonl and config.json of a workdir, as arrays."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.engine.process import files
from experiments.engine.process.errors import UsageError
from experiments.engine.record import metrics_log
from experiments.engine.run.config import RESERVED, label
from experiments.engine.run.family import Family
from experiments.engine.run.workdir import load

# {model: {split: {name: {seed: {training step: value}}}}}; a value is (T,) over the dynamics, or () without time.
Metrics = dict[str, dict[str, dict[str, dict[int, dict[int, NDArray[np.float64]]]]]]

TRAINING_SPLITS = RESERVED
Samples = dict[str, dict[str, NDArray[Any]]]  # arrays of a model, by its label
_TIMED = re.compile(r"(?P<name>.+)@(?P<step>[1-9]\d*)")


def load_samples(workdir: Path, labels: Iterable[str]) -> Samples:
    """The arrays of samples/LABEL.npz of those models of a run that have the file."""
    samples = {}
    for known_as in labels:
        path = workdir / "samples" / f"{known_as}.npz"
        if path.is_file():
            with np.load(path) as stored:
                samples[known_as] = dict(stored)
    return samples


def load_metrics(workdir: str | Path) -> Metrics:
    """The metrics of a run.

    Of results that are kept without metrics.jsonl, the last values, which summary.json has.
    Of the seeds that config.json names, where it does: a run may have been continued with fewer.
    Where a line was written twice the later one holds; an incomplete last line is left out; null and absent steps of
    the dynamics are NaN. Lines "accuracy@1" ... "accuracy@T" of older runs are gathered into one array (T,) "accuracy",
    which holds also where there is a line "accuracy". Undefined values are not in the file, so that their seed, or the
    metric itself, is absent.

    Raises:
        UsageError: no workdir, neither metrics.jsonl nor summary.json in it, or no complete line in that.
        RunError: a complete line, or the summary, is damaged; names it.
    """
    workdir = files.user_path(workdir)
    path = workdir / "metrics.jsonl"
    if not workdir.is_dir():
        raise UsageError(f"no workdir {workdir}")
    timed: dict[tuple, dict[int, float]] = {}
    metrics: Metrics = {}
    wanted = seeds_by_model(load_config(workdir).get("config"))
    lines = metrics_log.read_or_last(path)
    if not lines and not (path.is_file() or metrics_log.compressed(path).is_file()):
        raise UsageError(f"no metrics.jsonl in {workdir}: has the run been started?")
    for entry in lines:
        seeds = wanted(entry["model"])
        if seeds is not None and entry["seed"] not in seeds:
            continue
        model, split, seed, step = (entry[key] for key in ("model", "split", "seed", "step"))
        match = _TIMED.fullmatch(entry["name"])
        name, value = (match["name"] if match else entry["name"]), np.array(entry["value"], dtype=np.float64)
        metrics.setdefault(model, {}).setdefault(split, {}).setdefault(name, {}).setdefault(seed, {})[step] = value
        if match:
            timed.setdefault((model, split, name, seed, step), {})[int(match["step"])] = float(value)
    if not metrics:
        raise UsageError(f"{path} holds no metrics yet")
    for (model, split, name, seed, step), values in timed.items():
        series = np.full(max(values), np.nan)
        series[np.array(list(values)) - 1] = list(values.values())
        metrics[model][split][name][seed][step] = series
    return metrics


def load_config(workdir: str | Path, family: Family | None = None) -> dict[str, Any]:
    """The content of a run's config.json, {} where there is none; see `workdir.load`.

    Raises:
        UsageError: it is damaged, or not of the family.
    """
    return load(files.user_path(workdir), family, required=False)


def last_values(metrics: Metrics, model: str, split: str, name: str) -> tuple[list[int], NDArray[np.float64]]:
    """Seeds and their values at the last training step on which `name` was measured: (S, T), T = 1 without time.

    Seeds come in order; none gives ([], (0, 1)).
    """
    by_seed = metrics.get(model, {}).get(split, {}).get(name, {})
    seeds = sorted(by_seed)
    return seeds, _stack([by_seed[seed][max(by_seed[seed])] for seed in seeds])


def history(metrics: Metrics, model: str, split: str, name: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Training steps (N,) and values (S, N) of `name` during training; over the dynamics its last step is taken."""
    by_seed = metrics.get(model, {}).get(split, {}).get(name, {})
    steps = sorted({step for values in by_seed.values() for step in values})
    rows = [[float(np.ravel(by_seed[seed].get(s, np.nan))[-1]) for s in steps] for seed in sorted(by_seed)]
    return np.array(steps, dtype=np.int64), np.array(rows, dtype=np.float64).reshape(len(by_seed), len(steps))


def in_order(names: Iterable[str], first: Sequence[str] = ()) -> list[str]:
    """Each name once: those of `first` that occur, in its order, then the rest as they come."""
    names = dict.fromkeys(names)
    return [name for name in first if name in names] + [name for name in names if name not in first]


def seeds_by_model(settings: Any) -> Callable[[str], range | None]:
    """Label of a model -> the seeds that a config names for it; None where it names none."""
    settings = settings if isinstance(settings, dict) else {}
    tables = settings.get("models")
    tables = tables if isinstance(tables, dict) else {}
    own = {label(name, table): table.get("seeds") for name, table in tables.items()}

    def seeds(model: str) -> range | None:
        first, count = settings.get("seed"), own.get(model) or settings.get("seeds")
        named = isinstance(first, int) and isinstance(count, int)
        return range(first, first + count) if named else None

    return seeds


def _stack(rows: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    rows = [np.atleast_1d(row) for row in rows]
    stacked = np.full((len(rows), max((len(row) for row in rows), default=1)), np.nan)
    for target, row in zip(stacked, rows, strict=True):
        target[: len(row)] = row
    return stacked
