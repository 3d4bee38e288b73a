"""The command of every family, `python -m experiments.NAME`."""

from collections.abc import Sequence
from pathlib import Path

from ml_collections import ConfigDict

from experiments.engine.process import files, hosts
from experiments.engine.process.errors import RunError, UsageError
from experiments.engine.process.profile import Profile
from experiments.engine.process.signals import Stop
from experiments.engine.record import metrics_log
from experiments.engine.run import command_line
from experiments.engine.run.command_line import Request
from experiments.engine.run.config import RESERVED, SECTIONS, complete, completed, from_json, label, tables
from experiments.engine.run.entries import Table
from experiments.engine.run.family import Family
from experiments.engine.run.workdir import all_tables, load
from experiments.engine.training.experiment import Experiment
from experiments.engine.training.runner import report, run


def main(family: Family, argv: Sequence[str] | None = None) -> int:
    """Train, evaluate or report the experiment of a command line.

    Args:
        family: of the experiment.
        argv: arguments after the program's name; None: those of the process, which then exists for this run alone.

    Returns:
        The exit status, see `command_line.main`.
    """
    return command_line.main(family, perform, argv=argv)


def perform(request: Request, profile: Profile | None, stop: Stop) -> None:
    """Do what a command line asks for; the workdir is claimed."""
    family, config, place = request.family, request.config, request.workdir
    experiment = _described(family, config, _all_tables(family, config, place))
    if request.report_only:
        report(experiment, place)
        return
    chosen = {"models": tables(config, "models"), "tests": {**tables(config, "tests"), **(request.evaluate or {})}}
    models, tests = ([label(*pair) for pair in chosen[section].items()] for section in SECTIONS)
    train = request.evaluate is None
    run(experiment, place, models=models, tests=tests, train=train, profile=profile, stop=stop)


def experiment_of(family: Family, workdir: Path) -> Experiment:
    """The experiment of a workdir, with all models and test sets that it has had.

    Raises:
        UsageError: there is no config.json, or it is not of the family.
    """
    workdir = files.user_path(workdir)
    config = from_json(load(workdir, family)["config"], family)
    return _described(family, config, _all_tables(family, config, workdir))


def _all_tables(family: Family, config: ConfigDict, workdir: Path) -> dict[str, dict[str, Table]]:
    """Tables of models and tests by section and name: those of the config first, then others that the workdir had.

    Runs that began before there were tables may have been evaluated on test sets that config.json does not name: their
    labels in metrics.jsonl are parsed as if they were typed.
    """
    stored, labels = hosts.on_first(_read, family, workdir)
    every = {}
    for section in SECTIONS:
        every[section] = tables(config, section)
        earlier = all_tables(stored, section).items() if stored else ()
        typed = (_typed(family, section, text) for text in labels[section])
        for name, table in (*earlier, *filter(None, typed)):
            present = {label(*pair) for pair in every[section].items()}
            if name not in every[section] and label(name, table) not in present:
                every[section][name] = completed(f"{section}.{name}", table, family.table_entries(section)).to_dict()
    return every


def _read(family, workdir):
    lines = metrics_log.read_or_last(workdir / "metrics.jsonl")
    labels = {
        section: list(dict.fromkeys(entry[key] for entry in lines if entry[key] not in RESERVED))
        for section, key in zip(SECTIONS, ("model", "split"), strict=True)
    }
    return load(workdir, family, required=False), labels


def _typed(family: Family, section: str, text: str) -> tuple[str, Table] | None:
    try:
        return family.shorthand(section).parse(text, family.table_entries(section))
    except UsageError:
        return None


def _described(family: Family, config: ConfigDict, every: dict[str, dict[str, Table]]) -> Experiment:
    """The experiment of a config with tables by section and name."""
    whole = config.copy_and_resolve_references().unlock()
    whole.models, whole.tests = ConfigDict(every["models"]), ConfigDict(every["tests"])
    try:
        return family.experiment(complete(whole, family).lock(), every["tests"])
    except ValueError as error:
        raise UsageError(str(error)) from error
    except OSError as error:
        raise RunError(f"cannot load the data: {type(error).__name__}: {error}") from error
