"""One run: the config's models on the test pictures of its set."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ml_collections import ConfigDict

from experiments import engine
from experiments.waves import pictures, samples, tables
from experiments.waves.data import Data
from experiments.waves.tasks import make_task

LABELS = {
    "accuracy": "share of pixels named",
    "foreground_accuracy": "share of foreground named",
    "loss": "cross-entropy (nats)",
}


def run(config: ConfigDict, workdir: Path, *, report_only: bool = False, evaluate: Sequence[str] = ()) -> None:
    """Train the config's models and test them; or, with the name "test", measure what is trained.

    Raises:
        engine.UsageError: another test set.
    """
    for name in evaluate:
        if name != "test":
            raise engine.UsageError(f"no test set {name!r}: expected test")
    data = Data(config).splits()
    engine.run(
        config,
        workdir,
        {name: partial(make_task, config, name) for name in config.models},
        lambda name: data,
        samples=partial(samples.sample, config),
        report_only=report_only,
        train=not evaluate,
        draw=_draw,
        time_metrics=(),
        labels=LABELS,
    )


def _draw(workdir: Path) -> None:
    pictures.draw(workdir)
    print(tables.write(workdir))
