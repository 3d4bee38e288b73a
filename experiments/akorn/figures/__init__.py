"""The arrays that a run saves and the pictures: `boards` of Sudokus, `objects` of pictures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments import engine
from experiments.akorn.figures import boards, objects
from experiments.engine import Table

__all__ = ["draw", "sample"]

_BY_SET = {"sudoku": boards, "shapes": objects, "tetrominoes": objects}


def sample(trained: engine.Trained, data: Mapping[str, Any], tests: Mapping[str, Table]) -> dict[str, np.ndarray]:
    """What a trained model does on some examples of its test sets; see `boards.sample`, `objects.sample`."""
    return _BY_SET[trained.model.config.data.set].sample(trained, data, tests)


def draw(models: Mapping[str, engine.Model], tests: Mapping[str, Table], workdir: Path) -> None:
    """All pictures of this family, from what a workdir holds; models and tables of test sets by label."""
    metrics, figures = engine.load_metrics(workdir), workdir / "figures"
    models = {label: model for label, model in models.items() if label in metrics}
    for label, arrays in engine.load_samples(workdir, models).items():
        _BY_SET[models[label].config.data.set].draw_samples(figures, label, arrays)
    if any(model.config.data.set == "sudoku" for model in models.values()):
        boards.draw_steps(figures, metrics, models, tests)
