"""Wavelengths over training, and their correlation with the loss: are waves longer where the loss is lower?"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from experiments.engine import Metrics


class Course(NamedTuple):
    """One model's waves and losses after every epoch (E,), on the validation pictures."""

    steps: np.ndarray  # (E,), training steps
    shares: np.ndarray  # (S, E, len(LONG)), of wavelengths above each of LONG
    losses: np.ndarray  # (S, E), nats
    by_seed: np.ndarray  # (S, len(LONG)), correlation over epochs of each share with the negative loss
    of_means: np.ndarray  # (len(LONG),), the same of both averaged over seeds, as published


def courses(metrics: Metrics, models: Iterable[str]) -> dict[str, Course]:
    """Of each model whose waves were measured over at least three epochs, by label."""
    measured = {label: _course(metrics, label) for label in models}
    return {label: course for label, course in measured.items() if course is not None}


def _course(metrics: Metrics, model: str) -> Course | None:
    measured = metrics[model].get("validation", {})
    waves, losses = measured.get("long_waves"), measured.get("loss")
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
