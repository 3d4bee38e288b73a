"""Hyper-parameter search: Optuna proposes, `trials` trains what it proposes several at a time; knows no model.

Trials are proposed in batches of `together`, all of one shape, so that one compiled program trains them. The first
trial of a batch is free and so sets its shape, the others fix that and are free in everything else. What a batch
proposes follows from the seed, its number and the finished batches before it alone, and only finished trials are
stored: a search that is killed continues as if nothing had happened.
"""

import contextlib
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from experiments.engine.process import hosts
from experiments.engine.process.errors import RunError, UsageError
from experiments.engine.process.signals import Stop
from experiments.engine.record import metrics_log as log
from experiments.engine.run import command_line as cli
from experiments.engine.run import config as config_lib
from experiments.engine.run import workdir as workdir_lib
from experiments.engine.training.splits import Splits
from experiments.engine.training.task import PyTree
from experiments.search.trials import MakeTask, Trials, Values

_USAGE = """usage: python -m experiments.{name} --config=FILE[:VARIANT] [--workdir=DIR] [--trials=100] [--together=4]
       {flags} [--config.KEY=VALUE ...]; the same with --report_only
  --config       a Python file with get_config(), and which of its variants: what a trial is
  --workdir      where the search lives; the same command continues it (default: a new dated folder under runs/)
  --trials       how many there shall be, those of earlier calls included
  --together     how many of them are proposed, and trained, at once
  --config.KEY   changes one entry of the config, for example --config.train.epochs=3
  --report_only  rebuilds tables, figure and best config from the workdir"""


# Trials of one search have the same seeds.
_MAY_CHANGE = tuple(key for key in config_lib.MAY_CHANGE if key != "seeds")


class Space(NamedTuple):
    """What is searched.

    Attributes:
        traced: lowest and highest value, both > 0, by name: floats on a logarithmic scale, of which any is trained by
            the same compiled program.
        shapes: values by name, a range: ints that sizes of arrays depend on, so that each combination is compiled.
    """

    traced: Mapping[str, tuple[float, float]]
    shapes: Mapping[str, range]

    def to_json(self) -> dict[str, dict[str, list]]:
        """As JSON holds it."""
        return {part: {name: list(ends) for name, ends in named.items()} for part, named in self._asdict().items()}

    def bounds(self) -> dict[str, tuple[float, float]]:
        """Lowest and highest value by name."""
        return {**self.traced, **{name: (sizes[0], sizes[-1]) for name, sizes in self.shapes.items()}}

    def holds(self, values: Values) -> bool:
        """Whether these values could be proposed."""
        inside = all(low <= values[name] <= high for name, (low, high) in self.traced.items())
        return inside and all(values[name] in sizes for name, sizes in self.shapes.items())


class Problem(NamedTuple):
    """What an experiment hands to the search; values are by hyper-parameter name.

    Attributes:
        space: what is searched.
        make_task: values -> task, see `trials`; its `score` on the validation split after the last training step, the
            mean over the config's seeds, is the objective. It is never measured on anything else.
        data: "train" and "validation": arrays, or functions that give them, called when there is a trial to train.
        start: the config's own values. They are the first trial where they lie within the space.
        settled: values -> the config that trains a model with them, checked (`config.check`). Its epochs, seeds
            and batch size are those of a trial.
    """

    space: Space
    make_task: MakeTask
    data: Mapping[str, PyTree | Callable[[], PyTree]]
    start: Values
    settled: Callable[[Values], ConfigDict]


def main(
    make_problem: Callable[..., Problem],
    *,
    name: str,
    validate: Callable[[ConfigDict], None] | None = None,
    flags: Mapping[str, str] | None = None,
    argv: Sequence[str] | None = None,
) -> int:
    """Run a search from the command line.

    Args:
        make_problem: (config, **flags) -> problem; raises ValueError, with the value and what was expected, for a flag
            out of range.
        name: of the program, as in `python -m experiments.NAME`.
        validate: as for `cli.main`.
        flags: default by name, of the flags that this search has besides --trials and --together.
        argv: arguments after the program's name; None = the process's own.

    Returns:
        The exit status, as of `cli.main`.
    """
    own, flags = argv is None, flags or {}
    argv = sys.argv[1:] if own else list(argv)
    if {"--help", "-help"} & {*argv}:
        print(_USAGE.format(name=name, flags=" ".join(f"[--{flag}={default}]" for flag, default in flags.items())))
        return 0
    try:
        _require_optuna()
        given, rest = _take(argv, {"trials": "100", "together": "4", **flags})
        counts = [_count(flag, given.pop(flag)) for flag in ("trials", "together")]
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    command = shlex.join(["python", "-m", f"experiments.{name}", *argv])
    start = partial(_start, make_problem, name, given, *counts, command)
    return cli.main(start, name=name, validate=validate, may_change=_MAY_CHANGE, argv=rest, own=own)


def run(problem: Problem, workdir: Path, *, trials: int, together: int, name: str, **settings: str) -> None:
    """Search until the workdir has so many trials, and report.

    Args:
        problem: what is searched.
        workdir: the search's folder, claimed (`workdir.claim`): study.db keeps the finished trials (Optuna), and
            trials.csv, search.md, search.png and best.py tell of them.
        trials: in all; no more than there are already only reports.
        together: a batch.
        name: as for `main`.
        settings: what else must be the same when a search continues.

    Raises:
        UsageError: the workdir belongs to another search, or there is nothing to report.
        RunError: the study cannot be read or written, or no trial ended with a score.
        Interrupted: a signal came; finished trials are stored.
    """
    from experiments.search import report as search_report

    settings = {**settings, "together": together, "space": problem.space.to_json()}
    with _study(workdir, problem, settings) as study:
        if len(study.trials) < trials:
            _search(study, problem, trials, together)
        if not study.trials:
            raise UsageError(f"workdir {workdir} has no trials to report yet")
        search_report.build(workdir, study, problem, name)


def propose(done: Sequence[Any], problem: Problem, together: int, direction: Any, seed: int) -> list[Values]:
    """The values of a batch of trials, all of one shape.

    Args:
        done: the finished trials of the batches before (Optuna's, frozen); there is no other state.
        problem: what is searched; its start is the first trial of all.
        together: number of trials.
        direction: of the study.
        seed: of the search.
    """
    import optuna

    draws = np.random.SeedSequence([seed, len(done)]).generate_state(1)[0]
    study = optuna.create_study(direction=direction, sampler=optuna.samplers.TPESampler(seed=int(draws)))
    study.add_trials(done)
    fixed = problem.start if not done and problem.space.holds(problem.start) else {}
    proposed: list[Values] = []
    for _ in range(together):
        if fixed:
            study.enqueue_trial(dict(fixed))
        proposed.append(study.ask(_distributions(problem.space)).params)
        fixed = {name: proposed[0][name] for name in problem.space.shapes}
    return proposed


def _distributions(space):
    from optuna.distributions import FloatDistribution, IntDistribution

    traced = {name: FloatDistribution(low, high, log=True) for name, (low, high) in space.traced.items()}
    shapes = {name: IntDistribution(sizes[0], sizes[-1], step=sizes.step) for name, sizes in space.shapes.items()}
    return traced | shapes


def _search(study, problem, trials, together):
    config = problem.settled(problem.start)
    if not study.trials and not problem.space.holds(problem.start):
        print(f"NOTE: no trial has the config's own values, outside the space: {dict(problem.start)}", file=sys.stderr)
    with Stop() as stop, log.progress_bar(0) as bar:
        data, names = Splits(problem.data), tuple(problem.space.traced)
        runner = Trials(config, problem.make_task, names, data, together, check=stop.check, advance=bar.update)
        bar.total = trials * runner.images
        log.skip(bar, len(study.trials) * runner.images)
        while (count := len(study.trials)) < trials:
            first = count // together * together
            batch = propose(study.trials[:first], problem, together, study.direction, config.seed)
            wanted = range(count - first, min(together, trials - first))
            bar.set_description(f"trial {count + 1}-{first + wanted.stop} of {trials}", refresh=False)
            for place, scores in runner.run(batch, wanted):
                seeds = range(config.seed, config.seed + config.seeds)
                by_seed = dict(zip(map(str, seeds), scores.tolist(), strict=True))
                _store(study, batch[place], _distributions(problem.space), by_seed)


def _store(study, values, distributions, scores):
    """In one transaction: the trial is there, finished, or it is not."""
    from optuna.trial import TrialState, create_trial

    mean = float(np.mean([*scores.values()]))
    # To the sampler a pruned trial is worse than any other.
    ended = {"value": mean} if np.isfinite(mean) else {"state": TrialState.PRUNED}
    scores = {seed: score if np.isfinite(score) else None for seed, score in scores.items()}
    study.add_trial(
        create_trial(params=dict(values), distributions=distributions, user_attrs={"scores": scores}, **ended)
    )


@contextlib.contextmanager
def _study(workdir: Path, problem: Problem, settings: Mapping[str, Any]) -> Iterator[Any]:
    """The study kept in a workdir, made where there is none; its settings must be these."""
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    score = problem.make_task(problem.start).score
    settings = {**settings, "score": score}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = workdir / "study.db"
    storage = None
    try:
        storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
        direction = "minimize" if score.startswith("-") else "maximize"
        study = optuna.create_study(storage=storage, study_name="search", direction=direction, load_if_exists=True)
        if "settings" not in study.user_attrs:
            study.set_user_attr("settings", settings)
        _compare(workdir, study.user_attrs["settings"], settings)
        yield study
    except (optuna.exceptions.OptunaError, SQLAlchemyError) as error:
        raise RunError(f"{path}: {' '.join(str(error).split())}") from error
    finally:
        if storage is not None:
            storage.remove_session()
            storage.engine.dispose()


def _compare(workdir, stored, present):
    different = workdir_lib.differences(stored, present)
    if different:
        raise UsageError(
            f"workdir {workdir} belongs to another search:\n"
            + "\n".join(f"  search{key}: {old} there, {new} here" for key, old, new in different)
            + "\nchoose another --workdir, or the flags it was started with"
        )


def _start(make_problem, name, given, trials, together, command, config, workdir, *, report_only, evaluate):
    if hosts.count() > 1:
        raise UsageError("a search runs in one process")
    if evaluate:
        raise UsageError("a search measures nothing but validation data: --evaluate is for trained models")
    try:
        problem = make_problem(config, **given)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if not report_only:
        workdir_lib.note(workdir, command=command)
    run(problem, workdir, trials=0 if report_only else trials, together=together, name=name, **given)


def _take(argv: Sequence[str], flags: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Split off --FLAG=VALUE and --FLAG VALUE of the flags, given with their defaults; the rest stays in order."""
    given, rest, words = {}, [], iter(argv)
    for word in words:
        match = re.fullmatch(r"--?(\w+)(?:=(.*))?", word, re.DOTALL)
        if match is None or match[1] not in flags:
            rest.append(word)
            continue
        if match[1] in given:
            raise UsageError(f"--{match[1]} is given twice")
        given[match[1]] = next(words, "") if match[2] is None else match[2]
    return {**flags, **given}, rest


def _count(flag: str, text: str) -> int:
    if not (text.isdecimal() and int(text) >= 1):
        raise UsageError(f"--{flag}={text}: expected an int >= 1")
    return int(text)


def _require_optuna() -> None:
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise UsageError('a search needs Optuna: pip install -e ".[search]"') from error
