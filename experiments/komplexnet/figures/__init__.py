"""The pictures of a run: `samples` saves arrays of its models, `scenes` draws them, `scores` draws the metrics."""

from collections.abc import Mapping
from pathlib import Path

from ml_collections import ConfigDict

from experiments import engine
from experiments.engine import Table
from experiments.komplexnet.figures import scenes, scores
from experiments.komplexnet.figures.samples import sample

__all__ = ["draw", "sample"]


def draw(config: ConfigDict, models: Mapping[str, Table], tests: Mapping[str, Table], workdir: Path) -> None:
    """All pictures of this family, from the samples and the metrics of a workdir; the tables by label."""
    samples = engine.load_samples(workdir, models)
    run = scores.load(config, models, tests, workdir)
    scenes.draw(run.figures, run.groups, {label: arrays for label, arrays in samples.items() if arrays})
    scores.draw(run)
