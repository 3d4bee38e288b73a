"""One run: the config's models on the config's test sets, or trained ones on others."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ml_collections import ConfigDict

from experiments import engine
from experiments.komplexnet import names, pictures, settings
from experiments.komplexnet.data import Data
from experiments.komplexnet.tasks import make_task


def run(config: ConfigDict, workdir: Path, *, report_only: bool = False, evaluate: Sequence[str] = ()) -> None:
    """Train the config's models and test them; or, with names of test sets, measure what is trained on them.

    Raises:
        engine.UsageError: an unknown test set.
    """
    for name in evaluate:
        try:
            names.test_set(name)
        except ValueError as error:
            raise engine.UsageError(str(error)) from error
    data, config_of = Data(config), partial(settings.of_model, config)
    engine.run(
        config,
        workdir,
        {name: partial(make_task, config_of(name), name) for name in config.models},
        partial(data.of_model, tests=[*config.tests, *evaluate]),
        samples=partial(pictures.sample, config),
        config_of=config_of,
        report_only=report_only,
        train=not evaluate,
        draw=pictures.draw,
        chance=lambda model, split: {"accuracy": names.digits_in(model, split, config.data.num_digits) / 10},
        section=partial(names.section, default=config.data.num_digits),
        score="accuracy",
        time_metrics=("accuracy", "synchrony"),
        labels={"accuracy": "share of digits found", "synchrony": "synchrony loss (0: perfect)"},
    )
