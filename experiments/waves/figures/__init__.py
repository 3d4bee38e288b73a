"""The pictures and tables of a run.

`samples` saves arrays, `pictures` draws them, `tables` and `bars` set the scores beside the `published` ones.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from ml_collections import ConfigDict

from experiments import engine
from experiments.waves.data import SETS
from experiments.waves.figures import bars, pictures, tables, wavelengths
from experiments.waves.figures.samples import sample

__all__ = ["draw", "sample"]


def draw(config: ConfigDict, models: Mapping[str, engine.Model], split: str, workdir: Path) -> None:
    """All pictures of this family, tables.md and waves.json, from what a workdir holds.

    Args:
        config: of the run.
        models: by label.
        split: label of the test set that the tables are of.
        workdir: of the run.
    """
    metrics = engine.load_metrics(workdir)
    models = {label: model for label, model in models.items() if label in metrics}
    samples = engine.load_samples(workdir, models)
    courses = wavelengths.courses(metrics, models)
    if courses:
        text = json.dumps(wavelengths.as_json(courses), indent=1, allow_nan=False) + "\n"
        engine.write_atomically(workdir / "waves.json", text.encode())
    pictures.draw(workdir / "figures", SETS[config.data.set].classes, samples, courses)
    bars.draw(workdir / "figures", config, models, split, metrics)
    text = tables.tables(config, models, split, metrics, courses)
    engine.write_atomically(workdir / "tables.md", text.encode())
    print(text)
