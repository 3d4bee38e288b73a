"""One run: the config's models on the config's test sets, or trained ones on others."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ml_collections import ConfigDict

from experiments import engine
from experiments.gaspnet import pictures
from experiments.gaspnet.data import Data
from experiments.gaspnet.settings import check_tests
from experiments.gaspnet.tasks import make_task

LABELS = {
    "accuracy": "share of objects named",
    "item": "items named",
    "picture": "pictures named",
    "synchrony": "synchrony loss (0: perfect)",
}


def run(config: ConfigDict, workdir: Path, *, report_only: bool = False, evaluate: Sequence[str] = ()) -> None:
    """Train the config's models and test them; or, with names of test sets, measure what is trained on them.

    Raises:
        engine.UsageError: an unknown test set.
    """
    try:
        check_tests(config, evaluate)
    except ValueError as error:
        raise engine.UsageError(str(error)) from error
    data = Data(config)
    overlay = config.data.scenes == "overlay"
    chance = {"accuracy": 0.1, "item": 0.1, "picture": 0.1} if overlay else {"accuracy": 0.2}
    engine.run(
        config,
        workdir,
        {name: partial(make_task, config, name) for name in config.models},
        lambda name: data.splits([*config.tests, *evaluate]),
        samples=partial(pictures.sample, config),
        report_only=report_only,
        train=not evaluate,
        draw=pictures.draw,
        chance=chance,
        time_metrics=("item", "picture", "synchrony") if overlay else ("accuracy", "synchrony"),
        labels=LABELS,
    )
