"""Wavelengths over training, and their correlation with the loss: are waves longer where the loss is lower?"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from experiments.engine import Metrics
from experiments.waves.task import DIFFERENCES, LONG
from oscnets import stats


class Course(NamedTuple):
    """One model's waves and losses at every validation (E,), on the validation pictures."""

    steps: np.ndarray  # (E,), training steps
    shares: np.ndarray  # (S, E, len(LONG)), of wavelengths above each of LONG
    losses: np.ndarray  # (S, E), nats
    by_seed: np.ndarray  # (S, len(LONG)), correlation over validations of each share with the negative loss
    of_means: np.ndarray  # (len(LONG),), the same of both averaged over seeds, as published


Courses = dict[str, dict[str, Course]]  # by model, then by kind of differences


def courses(metrics: Metrics, models: Iterable[str]) -> Courses:
    """Of each model whose waves were measured at three or more validations, by label and `DIFFERENCES`."""
    found = {}
    for label in models:
        measured = {kind: _course(metrics, label, kind) for kind in DIFFERENCES}
        if all(measured.values()):
            found[label] = measured
    return found


def as_json(found: Courses) -> dict[str, dict[str, dict[str, dict[str, Any]]]]:
    """Shares and correlations of each model, by kind of differences and limit, with intervals over seeds."""
    return {
        label: {
            kind: {f"{limit:g}": _of_limit(course, i) for i, limit in enumerate(LONG)} for kind, course in kinds.items()
        }
        for label, kinds in found.items()
    }


def _of_limit(course, i):
    over_seeds = stats.summarize(course.by_seed[:, i], axis=0)
    return {
        "steps": [int(course.steps[0]), int(course.steps[-1])],
        "validations": len(course.steps),
        "first": _plain(course.shares[:, 0, i]),
        "last": _plain(course.shares[:, -1, i]),
        "correlation": _plain(course.by_seed[:, i]),
        "mean": _plain(over_seeds.mean),
        "low": _plain(over_seeds.low),
        "high": _plain(over_seeds.high),
        "of_means": _plain(course.of_means[i]),
    }


def _plain(values):
    values = np.asarray(values, float)
    return [_plain(value) for value in values] if values.ndim else float(values) if np.isfinite(values) else None


def _course(metrics: Metrics, model: str, kind: str) -> Course | None:
    measured = metrics[model].get("validation", {})
    waves, losses = measured.get(f"long_waves_{kind}"), measured.get("loss")
    if not waves:
        return None
    # A validation with values that are not finite has no loss.
    steps = sorted(set.intersection(*(set(waves[seed]) & set(losses.get(seed, ())) for seed in waves)))
    if len(steps) < 3:
        return None
    shares = np.array([[waves[seed][step] for step in steps] for seed in sorted(waves)])
    loss = np.array([[float(losses[seed][step]) for step in steps] for seed in sorted(waves)])
    by_seed = np.stack([correlation(*pair) for pair in zip(shares, -loss, strict=True)])
    return Course(np.array(steps), shares, loss, by_seed, correlation(shares.mean(0), -loss.mean(0)))


def correlation(shares: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Pearson's, of each column of (E, L) with (E,): (L,). NaN where one of them varies by rounding errors alone."""
    shares, values = shares - shares.mean(0), values - values.mean()
    sizes = np.sqrt((shares**2).sum(0) * (values**2).sum())
    moves = (np.abs(shares).max(0) > 1e-5) & (sizes > 0)
    return np.where(moves, values @ shares / np.where(moves, sizes, 1), np.nan)
